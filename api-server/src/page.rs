//! Lists in pages: `{"results": […], "next": "<cursor>" | null}`.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// Rows of a page, unless more or fewer are asked for.
const LIMIT_DEFAULT: u32 = 50;

/// Rows of a page at most.
const LIMIT_MAX: u32 = 200;

/// Which page is asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct Paging {
    /// Rows of a page: 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The rows.
    pub results: Vec<T>,
    /// Where the next page begins; `null` on the last one.
    #[schema(required)]
    pub next: Option<String>,
}

impl Paging {
    /// How many rows, and after which.
    pub(crate) fn read<const N: usize>(&self) -> Result<(u32, Option<[i64; N]>), Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::invalid("limit", format!("1 to {LIMIT_MAX}")));
        }
        let cursor = self.cursor.as_deref().map(decode).transpose()?;
        Ok((limit, cursor))
    }
}

impl<T> Page<T> {
    /// From one row more than a page has, if there are as many. `key` is what the next page comes after.
    pub(crate) fn new<R, const N: usize>(
        mut rows: Vec<R>,
        limit: u32,
        key: impl Fn(&R) -> [i64; N],
        show: impl FnMut(R) -> T,
    ) -> Self {
        let is_last = rows.len() <= limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().filter(|_| !is_last);
        let next = last.map(|row| encode(&key(row)));
        Self {
            results: rows.into_iter().map(show).collect(),
            next,
        }
    }
}

/// Nobody has to know what is in it, so nobody relies on it.
fn encode(key: &[i64]) -> String {
    let bytes: Vec<u8> = key.iter().flat_map(|part| part.to_be_bytes()).collect();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decode<const N: usize>(text: &str) -> Result<[i64; N], Problem> {
    let wrong = || Problem::invalid("cursor", "the `next` of a page of this list");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let (parts, rest) = bytes.as_chunks::<8>();
    let key: Vec<i64> = parts.iter().map(|part| i64::from_be_bytes(*part)).collect();
    let key = key.try_into().map_err(|_| wrong())?;
    match rest.is_empty() {
        true => Ok(key),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_page_says_where_the_next_begins_unless_it_is_the_last() {
        let page = Page::new(vec![1, 2, 3], 2, |row| [*row, 7], |row| row);
        assert_eq!(page.results, [1, 2]);
        let paging = Paging {
            limit: Some(2),
            cursor: page.next,
        };
        assert_eq!(paging.read().unwrap(), (2, Some([2, 7])));
        let last = Page::new(vec![1, 2], 2, |row| [*row], |row| row);
        assert_eq!(last.next, None);
    }

    #[test]
    fn made_up_cursors_and_limits_are_refused() {
        for cursor in ["", "a", "!", "AAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            let paging = Paging {
                limit: None,
                cursor: Some(cursor.to_owned()),
            };
            assert_eq!(paging.read::<2>().unwrap_err().status, 422, "{cursor:?}");
        }
        for limit in [0, 201] {
            let paging = Paging {
                limit: Some(limit),
                cursor: None,
            };
            assert_eq!(paging.read::<1>().unwrap_err().errors[0].field, "limit");
        }
    }
}
