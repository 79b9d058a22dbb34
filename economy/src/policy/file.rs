//! A policy's text, with what each key may hold, and the line to point at when it doesn't.

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};
use toml::value::{Datetime, Offset};
use tracker_core::ids::UnixTime;
use tracker_core::registry::UserClass;

use super::PolicyError;
use crate::DAY_SECS;

/// A table of the file, laid over the same one of the defaults.
pub(super) struct Section<'a> {
    text: &'a str,
    /// `classes.member`, `shop.2`; empty for the whole file.
    name: String,
    line: usize,
    given: Option<&'a DeTable<'a>>,
    defaults: Option<&'a DeTable<'a>>,
    /// The keys that somebody asked for: all others are unknown.
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn whole(text: &'a str, given: &'a DeTable<'a>, defaults: &'a DeTable<'a>) -> Self {
        Self {
            text,
            name: String::new(),
            line: 1,
            given: Some(given),
            defaults: Some(defaults),
            known: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Whether the key is there, in the file or among the defaults.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.find(key).is_some()
    }

    /// Whether the file itself has the key.
    pub(super) fn gives(&self, key: &str) -> bool {
        self.line_of(key).is_some()
    }

    pub(super) fn section(&mut self, key: &'static str) -> Result<Self, PolicyError> {
        let name = self.path(key);
        let line = self.line_of(key).unwrap_or(self.line);
        let given = match self.given.and_then(|table| table.get(key)) {
            None => None,
            Some(value) => match value.get_ref() {
                DeValue::Table(table) => Some(table),
                other => {
                    let reason = format!("{} is not a section: write [{name}]", shown(other));
                    return Err(self.refuse(&[key], reason));
                }
            },
        };
        let defaults = match self.defaults.and_then(|table| table.get(key)) {
            Some(value) => value.get_ref().as_table(),
            None => None,
        };
        self.know(key);
        Ok(Self {
            text: self.text,
            name,
            line,
            given,
            defaults,
            known: Vec::new(),
        })
    }

    /// The tables of a list, of which the file has all or none.
    pub(super) fn list(
        &mut self,
        key: &'static str,
        most: usize,
    ) -> Result<Vec<Self>, PolicyError> {
        let name = self.path(key);
        let Some(value) = self.find(key) else {
            return Ok(Vec::new());
        };
        let is_given = self.gives(key);
        let wrong = |this: &Self, value: &DeValue<'_>| {
            let reason = format!("{} is not a list: write [[{name}]]", shown(value));
            this.refuse(&[key], reason)
        };
        let Some(array) = value.as_array() else {
            return Err(wrong(self, value));
        };
        if array.len() > most {
            let reason = format!("{} of them are more than {most}", array.len());
            return Err(self.refuse(&[key], reason));
        }
        let mut sections = Vec::new();
        for (nth, value) in array.iter().enumerate() {
            let Some(table) = value.get_ref().as_table() else {
                return Err(wrong(self, value.get_ref()));
            };
            sections.push(Self {
                text: self.text,
                name: format!("{name}.{}", nth + 1),
                line: if is_given {
                    line_of(self.text, value.span().start)
                } else {
                    self.line
                },
                given: Some(table),
                defaults: None,
                known: Vec::new(),
            });
        }
        Ok(sections)
    }

    pub(super) fn number<T: TryFrom<u64>>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<T, PolicyError> {
        let value = self.need(key)?;
        let number = whole(value).filter(|number| range.contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                let (least, most) = (range.start(), range.end());
                self.is_not(key, value, format!("a whole number from {least} to {most}"))
            })
    }

    /// Bytes: a number, or text with a unit.
    pub(super) fn size(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<u64, PolicyError> {
        let value = self.need(key)?;
        let bytes = match value {
            DeValue::String(text) => size(text),
            other => whole(other),
        };
        bytes.filter(|bytes| range.contains(bytes)).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            let right = format!("a size from {least} to {most} bytes, as in 1048576 or \"25 GiB\"");
            self.is_not(key, value, right)
        })
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, PolicyError> {
        let value = self.need(key)?;
        value
            .as_bool()
            .ok_or_else(|| self.is_not(key, value, "true or false"))
    }

    pub(super) fn text(
        &mut self,
        key: &'static str,
        fits: impl Fn(&str) -> bool,
        right: &str,
    ) -> Result<String, PolicyError> {
        let value = self.need(key)?;
        value
            .as_str()
            .filter(|text| fits(text))
            .map(str::to_owned)
            .ok_or_else(|| self.is_not(key, value, right))
    }

    pub(super) fn class(&mut self, key: &'static str) -> Result<UserClass, PolicyError> {
        let value = self.need(key)?;
        UserClass::ALL
            .into_iter()
            .find(|class| value.as_str() == Some(class.name()))
            .ok_or_else(|| self.is_not(key, value, "newbie, member, trusted or elite"))
    }

    pub(super) fn time(&mut self, key: &'static str) -> Result<UnixTime, PolicyError> {
        let value = self.need(key)?;
        let time = match value {
            DeValue::Datetime(time) => unix_time(time),
            _ => None,
        };
        time.ok_or_else(|| {
            let right = "a time from 1970 to 2106, as in 2026-12-24T00:00:00Z";
            self.is_not(key, value, right)
        })
    }

    /// After the last key was asked for: refuses what nobody asked for, as it is a slip of the pen.
    pub(super) fn done(&self) -> Result<(), PolicyError> {
        let keys = self.given.into_iter().flat_map(DeTable::keys);
        let mut unknown = keys.filter(|key| !self.known.contains(&key.get_ref().as_ref()));
        match unknown.next() {
            None => Ok(()),
            Some(key) => Err(PolicyError {
                line: line_of(self.text, key.span().start),
                reason: format!(
                    "unknown key {}: here can be {}",
                    self.path(key.get_ref()),
                    self.known.join(", ")
                ),
            }),
        }
    }

    /// Names the first key; points at the first that the file has, as that one is to blame, rather than another's default.
    pub(super) fn refuse(&self, keys: &[&str], reason: String) -> PolicyError {
        let line = keys.iter().find_map(|key| self.line_of(key));
        let name = keys
            .first()
            .map_or_else(|| self.name.clone(), |key| self.path(key));
        PolicyError {
            line: line.unwrap_or(self.line),
            reason: format!("{name}: {reason}"),
        }
    }

    /// Where the file has a key of one of this section's sections.
    pub(super) fn line_within(&self, section: &str, key: &str) -> Option<usize> {
        let inner = self.given?.get(section)?.get_ref().as_table()?;
        let (key, _) = inner.get_key_value(key)?;
        Some(line_of(self.text, key.span().start))
    }

    fn is_not(&self, key: &str, value: &DeValue<'_>, right: impl Display) -> PolicyError {
        self.refuse(&[key], format!("{} is not {right}", shown(value)))
    }

    fn need(&mut self, key: &'static str) -> Result<&'a DeValue<'a>, PolicyError> {
        self.find(key).ok_or_else(|| PolicyError {
            line: self.line,
            reason: format!("{} is missing", self.path(key)),
        })
    }

    fn find(&mut self, key: &'static str) -> Option<&'a DeValue<'a>> {
        self.know(key);
        let given = self.given.and_then(|table| table.get(key));
        let value = given.or_else(|| self.defaults.and_then(|table| table.get(key)));
        value.map(|value| value.get_ref())
    }

    fn know(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    fn line_of(&self, key: &str) -> Option<usize> {
        let (key, _) = self.given?.get_key_value(key)?;
        Some(line_of(self.text, key.span().start))
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }
}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// `25 GiB`.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim_start() {
        "B" | "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "PiB" => 1 << 50,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn unix_time(time: &Datetime) -> Option<UnixTime> {
    let (date, clock) = (time.date?, time.time?);
    let offset_minutes = match time.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    // Years from March on, so that the leap day is the last of its year.
    let (year, month) = (i64::from(date.year), i64::from(date.month));
    let (year, months) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let day_of_year = (153 * months + 2) / 5 + i64::from(date.day) - 1;
    let days = 365 * year + leap_days + day_of_year - DAYS_BEFORE_1970;
    let minutes = i64::from(clock.hour) * 60 + i64::from(clock.minute) - offset_minutes;
    let secs =
        days * i64::from(DAY_SECS) + minutes * 60 + i64::from(clock.second.unwrap_or_default());
    u32::try_from(secs).ok().map(UnixTime)
}

/// From the first of March of the year 0.
const DAYS_BEFORE_1970: i64 = 719_468;

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
