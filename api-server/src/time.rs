//! Times as the API writes and reads them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
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

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: Option<jiff::Timestamp> = text.parse().ok();
        let seconds = time.and_then(|time| u32::try_from(time.as_second()).ok());
        let seconds = seconds.ok_or_else(|| {
            serde::de::Error::custom("a time as 2026-11-24T16:00:00Z, between 1970 and 2106")
        })?;
        Ok(Self(UnixTime(seconds)))
    }
}

impl From<UnixTime> for Time {
    fn from(time: UnixTime) -> Self {
        Self(time)
    }
}
