"""Numbers that those who keep a memory in space agree on, with torch or without it."""

# ---- the bank ----
EMPTY = -1
COARSE = 8  # coarse points of a frame, each way
KEPT_NEWEST = 16  # frames that are never dropped

# ---- where a true frame was seen from ----
CERTAIN = 0.999  # probability of a motion that is not checked
CANDIDATES = 6
SOURCES = 3
HYPOTHESES = 9  # poses that are compared at once, at most
LEAST_SEEN = 0.2  # share of the view that memory must show for a comparison to mean something
PRIOR = 0.001  # photometric error (of -1..1) that a factor of e in probability is worth
SHIFT = 0.08  # small corrections, in longest motions
WORTH = 0.25  # share of the error that a correction must take away: small gains are chance

# ---- where a body has stood ----
PLACES = 2048  # two a step
NEXT_PLACES = 16  # of them, that are looked at
NOWHERE = 1e6  # coordinates of a place that is none
LEAP = 1.5  # full steps; a body that got farther was put there

# ---- strides of any length ----
LEAST_LOSS = 0.02  # of a full step: one that lacks less is free

# ---- which motion a dreaming body makes ----
CHANCE_DIGITS = 64.0  # of a normal number so many times as large the fraction is uniform
LEAST_SHARE = 0.02  # of the likeliest motion's probability, where a world says nothing else
