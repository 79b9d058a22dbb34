//! Something for each member, by row number, found without a lock and without hashing.

use std::sync::OnceLock;

use crate::ids::UserId;

/// Pages by the number's upper half, each made when it is first written to. Row numbers are given out in order, so a site
/// of a million members has sixteen.
pub(crate) struct Pages<T> {
    pages: Box<[OnceLock<Box<Page<T>>>]>,
}

type Page<T> = [T; PAGE];

pub(crate) const PAGE: usize = 1 << 16;

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self {
            pages: (0..=u32::MAX as usize / PAGE)
                .map(|_| OnceLock::new())
                .collect(),
        }
    }
}

impl<T: Default> Pages<T> {
    /// `None` where nobody of a page has been written to.
    pub(crate) fn get(&self, user: UserId) -> Option<&T> {
        let page = self.page(user).get()?;
        Some(&page[user.0 as usize % PAGE])
    }

    /// To be written to.
    pub(crate) fn get_or_make(&self, user: UserId) -> &T {
        let page = self.page(user).get_or_init(|| {
            let page: Box<[T]> = (0..PAGE).map(|_| T::default()).collect();
            page.try_into()
                .unwrap_or_else(|_| unreachable!("a page has this many"))
        });
        &page[user.0 as usize % PAGE]
    }

    fn page(&self, user: UserId) -> &OnceLock<Box<Page<T>>> {
        &self.pages[user.0 as usize / PAGE]
    }
}

impl<T> std::fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pages")
    }
}
