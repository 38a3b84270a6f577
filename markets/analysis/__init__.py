"""Deep analysis of one market: gather what is known of it, compute its figures, store them as a report.

    gathering.gather(market)         asks the exchange and the database; no transaction is open meanwhile
    computing.compute(gathered)      the figures: a pure function of what was gathered
    storing.store(gathered, …)       one row, once for each job

`functions.analyse_market` is the three in a row, `functions.deep_scan` many of these.
"""
