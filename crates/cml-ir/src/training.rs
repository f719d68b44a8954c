//! Which rows a network was trained on.

use serde::{Deserialize, Serialize};

/// What identifies the rows that a network was trained on, so that whoever measures it can tell rows
/// that it has seen from rows that it has not.
///
/// Networks and graphs keep it. A circuit does not: it goes to servers, and a hash of data confirms a
/// guess of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingRows {
    /// SHA-256 of all features of the data set, held-out rows included.
    pub data: [u8; 32],
    /// SHA-256 of one byte for each row: 1 if it was held out, else 0.
    pub held_out_rows: [u8; 32],
    /// Rows of the data set.
    pub rows: u64,
    /// How many of them were held out from training.
    pub held_out: u64,
    /// Seed that chose them; `None` if the data set says itself which they are.
    pub seed: Option<u64>,
}

impl TrainingRows {
    /// Whether the counts are possible: at least one row was trained on.
    pub fn is_plausible(&self) -> bool {
        self.held_out < self.rows
    }
}
