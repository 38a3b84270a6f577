"""Deep analysis of one market: fetch what others know of it, compute its figures, store them as a report, tell of it.

    fetching.fetch_book(…), …        ask an exchange; each a step that is tried again by itself
    gathering.gather(market, …)      what was fetched beside what the database has
    computing.compute(gathered)      the figures: a pure function of what was gathered
    storing.store_report(…)          one row, once for each analysis
    telling.tell_of_report(…)        the alerts of figures that are out of bounds

`functions.analyse_market` is the workflow of these steps, `functions.deep_scan` a batch of such workflows.
"""
