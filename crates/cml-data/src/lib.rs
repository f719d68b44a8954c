//! Data sets: a seeded checkerboard, CSV files, splits.
