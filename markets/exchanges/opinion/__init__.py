"""Opinion (opinion.trade): its catalogue, prices and trades."""
