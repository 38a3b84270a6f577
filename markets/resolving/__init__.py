"""What happens here when a market of interest is resolved, and when its exchange takes that back.

    noticing.tell(…)               a write of markets sends market.resolved and market.reopened, in its transaction
    functions.market_resolved      bound to the one: a saga of closing.unwatch, recompute, announce
    functions.market_reopened      bound to the other: cancels that saga, or runs its undos as a saga, last first

Of interest is a market that is watched, or has been analysed.
"""
