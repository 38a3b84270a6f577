"""A list given to a statement as one JSON parameter, as the rows of a subquery."""

NAMES = {
    "postgresql": "SELECT json_array_elements_text(%s::json)",
    "sqlite": "SELECT value FROM json_each(%s)",
}
IDS = {
    "postgresql": "SELECT json_array_elements_text(%s::json)::bigint",
    "sqlite": "SELECT value FROM json_each(%s)",
}
