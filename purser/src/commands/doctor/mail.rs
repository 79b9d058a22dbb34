//! Does the mail server let us in? No mail is sent.

use std::time::Duration;

use anyhow::Result;
use tokio::time::timeout;

use super::Finding;
use crate::config::Config;
use crate::mail::Mailer;

const PATIENCE: Duration = Duration::from_secs(10);

/// Nothing to say when there is none.
pub(super) async fn look(config: &Config) -> Result<Option<Finding>> {
    let Some(mailer) = Mailer::of(config)? else {
        return Ok(None);
    };
    let shown = config.mail.smtp_url.redacted();
    let found = match timeout(PATIENCE, mailer.check()).await {
        Ok(Ok(())) => Finding::ok("mail", shown),
        Ok(Err(error)) => Finding::fail("mail", format!("{shown}: {error:#}")),
        Err(_) => Finding::fail("mail", format!("{shown}: no answer")),
    };
    Ok(Some(found))
}
