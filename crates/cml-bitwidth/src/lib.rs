//! Interval analysis: how wide every accumulator can get, proved.
