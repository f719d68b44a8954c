//! What a network's file says of the rows that it was trained on.

use crate::QuantError;
use cml_file::{from_hex, to_hex};
use cml_ir::TrainingRows;
use serde::{Deserialize, Serialize};

/// [`TrainingRows`] with hashes as hexadecimal digits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileTraining {
    data: String,
    held_out_rows: String,
    rows: u64,
    held_out: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

impl FileTraining {
    pub(crate) fn of(rows: &TrainingRows) -> Self {
        Self {
            data: to_hex(&rows.data),
            held_out_rows: to_hex(&rows.held_out_rows),
            rows: rows.rows,
            held_out: rows.held_out,
            seed: rows.seed,
        }
    }

    pub(crate) fn rows(&self) -> Result<TrainingRows, QuantError> {
        let hash = |what: &'static str, text: &str| {
            from_hex(text).ok_or_else(|| QuantError::File {
                name: "training".to_owned(),
                why: format!("{what} needs 64 hexadecimal digits"),
            })
        };
        Ok(TrainingRows {
            data: hash("data", &self.data)?,
            held_out_rows: hash("held_out_rows", &self.held_out_rows)?,
            rows: self.rows,
            held_out: self.held_out,
            seed: self.seed,
        })
    }
}
