//! Times as the API writes them.

use serde::{Serialize, Serializer};
use tracker_core::ids::UnixTime;
use utoipa::ToSchema;

/// RFC 3339, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-24T16:00:00Z")]
pub struct Time(pub UnixTime);

impl Time {
    /// As mail and RSS write it (RFC 2822).
    pub(crate) fn rfc2822(self) -> String {
        let time = jiff::Timestamp::from_second(self.0.0.into()).unwrap_or_default();
        let time = time.to_zoned(jiff::tz::TimeZone::UTC);
        jiff::fmt::rfc2822::to_string(&time).unwrap_or_default()
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // 32 bits of seconds are years that it can write.
        let time = jiff::Timestamp::from_second(self.0.0.into()).unwrap_or_default();
        serializer.collect_str(&time)
    }
}

impl From<UnixTime> for Time {
    fn from(time: UnixTime) -> Self {
        Self(time)
    }
}
