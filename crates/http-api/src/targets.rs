//! `targets/metadata`: what a server that scrapes nothing has of it, which is nothing, once the question is right.

use crate::answer::{Answer, Outcome};
use crate::asked::Asked;
use crate::error::ApiError;
use crate::metadata::limit;

/// Reads the parameters as Prometheus does, and has no target for any of them.
pub(crate) async fn metadata(asked: Asked) -> Result<Answer, ApiError> {
    limit(&asked.params, "limit")?;
    asked.params.matchers("match_target")?;
    Ok(Answer::of(asked.encoding, |out| {
        out.raw("[]");
        Ok(Outcome::data())
    }))
}
