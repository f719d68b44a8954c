//! What a client insists on, as options; what a circuit promises, as text and JSON.

use cml_client::{MaxFailure, RemoteError, Requirements};
use cml_scheme::{ClientSpec, KEY_SHARE_LOG2, one_in};
use serde_json::{Value, json};

/// What a circuit has to promise before keys are drawn for it or inputs are encrypted.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct RequirementArgs {
    /// Refuse a circuit that was not compiled with --strict: results have to be exact, and a lookup has to fail with
    /// at most 2^-128. The promise is the word of whoever compiled it.
    #[arg(long, global = true)]
    require_strict: bool,
    /// Refuse a circuit of which an inference goes wrong more often: 2^-40, or 1e-12.
    #[arg(long, global = true, value_name = "2^-X")]
    max_failure: Option<MaxFailure>,
}

impl RequirementArgs {
    /// As the library has them.
    pub(crate) fn requirements(&self) -> Requirements {
        Requirements {
            strict: self.require_strict,
            max_failure: self.max_failure,
        }
    }

    /// Refuses a circuit that promises less.
    pub(crate) fn check(&self, spec: &ClientSpec) -> Result<(), RemoteError> {
        self.requirements().check(spec)
    }
}

/// What a circuit promises, for people.
pub(crate) fn promise(spec: &ClientSpec) -> String {
    format!(
        "budget 2^{:.0} a lookup; an inference fails less than once in {}, with all but 2^{KEY_SHARE_LOG2} of keys; results {}",
        spec.budget_log2(),
        one_in(spec.inference_log2_p_fail()),
        exactness(spec),
    )
}

/// `exact` or `approximate`.
pub(crate) fn exactness(spec: &ClientSpec) -> &'static str {
    if spec.is_exact() { "exact" } else { "approximate" }
}

/// What a circuit promises, for programs.
pub(crate) fn promise_json(spec: &ClientSpec) -> Value {
    json!({
        "budget_log2": spec.budget_log2(),
        "inference_log2": spec.inference_log2_p_fail(),
        "inference_fails_once_in": one_in(spec.inference_log2_p_fail()),
        "keys_log2_beyond": KEY_SHARE_LOG2,
        "exact": spec.is_exact(),
    })
}
