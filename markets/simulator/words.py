"""The vocabulary of an invented world: places, teams, people and companies that exist nowhere."""

PLACES = (
    "Verrano", "Ostmere", "Kaldoria", "Port Hallow", "Tamsin Bay", "Quillon", "Norwick Vale", "Ashgrove",
    "Bellamar", "Cindermouth", "Dovrefell", "Eastmarch", "Fenwater", "Galloway Reach", "Ironhill",
    "Jasper Point", "Kestrel Island", "Lowmoor", "Mirefield", "Oakhaven", "Pellworth", "Ravensreach",
    "Saltmarsh", "Thornbury Cross", "Umberland", "Wexmouth", "Yarrowdale", "Zephyr Coast",
)  # fmt: skip
TEAM_NAMES = (
    "Comets", "Herons", "Lanterns", "Millers", "Foxes", "Anchors", "Pilots", "Wardens", "Ramblers",
    "Harriers", "Saints of Rain", "Blue Carts", "Iron Bees", "Night Owls", "Masons", "Tides",
)  # fmt: skip
FIRST_NAMES = (
    "Anneke", "Bram", "Celia", "Dario", "Elowen", "Fergus", "Greta", "Hollis", "Imke", "Jorun", "Katya",
    "Leander", "Mireille", "Nils", "Odette", "Percival", "Rosalind", "Severin", "Tilda", "Ulric",
)  # fmt: skip
FAMILY_NAMES = (
    "Abelard", "Brackenridge", "Corvane", "Dunmore", "Estvold", "Farrow", "Grimsditch", "Halloran", "Isling",
    "Jessop", "Kilbride", "Lorne", "Marchetti-Vale", "Nordhagen", "Ormsby", "Pryce-Tal", "Quist", "Rook",
)  # fmt: skip
COMPANIES = (
    "Brightwell Motors", "Cobalt & Finch", "Drumlin Labs", "Everfield Energy", "Glasspine Software",
    "Hollowtree Games", "Kiteworks Aero", "Lumen Orchard", "Northbound Rail", "Pebblebrook Foods",
    "Quarrystone Bank", "Tallow & Wick", "Umbra Robotics", "Windrose Shipping",
)  # fmt: skip
PRODUCTS = (
    "folding car", "pocket telescope", "paper battery", "walking kettle", "silent drone", "glass keyboard",
    "solar bicycle", "weather pillow", "tidal turbine", "talking atlas", "self-tuning piano",
)  # fmt: skip
CUPS = (
    "Lantern Cup", "Harbour League", "Seven Bridges Regatta", "Winter Shield", "Copper Bell Trophy",
    "Orchard Marathon", "Three Rivers Tour", "Old Mill Open",
)  # fmt: skip
CURRENCIES = ("crown", "florin", "guilder of Quillon", "tallar", "saltmark", "copper pound")
GOODS = ("barley", "copper", "lamp oil", "sea salt", "timber", "wool", "honey")
FILMS = (
    "The Clockmaker's Daughter-in-Law", "Nine Quiet Harbours", "A Ladder for the Moon",
    "Nobody Leaves Lowmoor",
    "The Last Cartographer of Fenwater", "Paper Foxes", "Two Umbrellas",
)  # fmt: skip
PRIZES = ("Golden Quill", "Silver Lantern", "Grand Thistle", "Prize of the Five Towns")
PARTIES = (
    "Harbour Party", "Reform Alliance", "Green Fields", "United Guilds", "Liberty Bloc", "Old Town List",
    "Workers' Bench", "Party of the Hills", "New Compass",
)  # fmt: skip
DISCOVERIES = ("a comet", "a new orchid", "a sunken lighthouse", "a buried observatory", "a cave lake")

LABELS = {
    "Sport": 1,
    "Weather": 2,
    "Politics": 3,
    "Technology": 4,
    "Economy": 5,
    "Culture": 6,
    "Science": 7,
}
LOCAL_LABEL = ("Local", 100_001)
"""A second label that some topics bear beside their own."""
