//! A statement over many rows. sqlx runs SQLite in a thread of its own: each statement goes there and back, which costs
//! several times what SQLite does for a row.

/// How many rows a statement has. More than 64 gain little: 16, 32, 64 and 128 rows at a time cost 4.1, 3.6, 3.4 and 3.2 µs
/// of CPU a session, one 13.5. Few sizes, as sqlx keeps 100 prepared statements and forgets the others.
const SIZES: [usize; 3] = [64, 8, 1];

/// One text for each of the sizes, which differ in nothing else.
pub(crate) struct Statement {
    texts: [String; SIZES.len()],
}

impl Statement {
    /// `rest` has the rows in `change`, a table of these columns; to be bound row by row, and before what `rest` itself
    /// wants bound. All are `?`, as SQLite goes through all names to find the one of a `$1`.
    pub(crate) fn new(columns: &str, rest: &str) -> Self {
        let row = vec!["?"; columns.split(',').count()].join(", ");
        let texts = SIZES.map(|size| {
            let rows = vec![format!("({row})"); size].join(", ");
            format!("with change ({columns}) as (values {rows}){rest}")
        });
        Self { texts }
    }

    /// All of `rows`, in pieces and in their order, each with the text for as many.
    pub(crate) fn pieces<'r, R>(
        &'static self,
        mut rows: &'r [R],
    ) -> impl Iterator<Item = (&'static str, &'r [R])> {
        SIZES
            .iter()
            .zip(&self.texts)
            .flat_map(move |(&size, text)| {
                let (now, later) = rows.split_at(rows.len() - rows.len() % size);
                rows = later;
                now.chunks_exact(size)
                    .map(move |piece| (text.as_str(), piece))
            })
    }

    /// Each text there is.
    #[cfg(test)]
    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }
}
