"""Numbers that those who keep a memory in space agree on, with torch or without it."""

# ---- the bank ----
EMPTY = -1
COARSE = 8  # coarse points of a frame, each way
KEPT_NEWEST = 16  # frames that are never dropped

# ---- where a true frame was seen from ----
CERTAIN = 0.999  # probability of a motion that is not checked
CANDIDATES = 12  # of the likeliest motions, that are compared
SOURCES = 3
MOST_UNLIKE = 0.15  # photometric error (of -1..1) of a pixel: one that is hidden counts no more
UNSEEN = 0.05  # least error of a pixel that memory does not show
PRIOR = 0.0007  # photometric error (of -1..1) that a factor of e in probability is worth

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
