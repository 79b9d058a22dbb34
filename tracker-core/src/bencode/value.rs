//! Borrowing views of input that has been checked: a malformed byte can't come up any more, and would end an iterator.

use super::lexer::{Lexer, Token};

/// A checked value, still in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    pub(super) raw: &'a [u8],
}

impl<'a> Value<'a> {
    /// The bytes exactly as they were written.
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// Its number, if it is one.
    pub fn int(self) -> Option<i64> {
        match self.lexer().token() {
            Ok(Token::Int(number)) => Some(number),
            _ => None,
        }
    }

    /// Its bytes, if it is a string.
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self.lexer().token() {
            Ok(Token::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// Its items in order, if it is a list.
    pub fn list(self) -> Option<impl Iterator<Item = Value<'a>>> {
        let mut lexer = self.lexer();
        match lexer.token() {
            Ok(Token::List) => Some(std::iter::from_fn(move || {
                lexer.skip().map(|raw| Value { raw })
            })),
            _ => None,
        }
    }

    /// Its entries, if it is a dictionary.
    pub fn dict(self) -> Option<Dict<'a>> {
        match self.lexer().token() {
            Ok(Token::Dict) => Some(Dict { raw: self.raw }),
            _ => None,
        }
    }

    fn lexer(self) -> Lexer<'a> {
        Lexer {
            input: self.raw,
            at: 0,
        }
    }
}

/// A checked dictionary, still in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dict<'a> {
    raw: &'a [u8],
}

impl<'a> Dict<'a> {
    /// The value of `key`. Looks at every entry before it: for many keys of a long dictionary, prefer [`Dict::iter`].
    pub fn get(self, key: &[u8]) -> Option<Value<'a>> {
        self.iter()
            .find_map(|(found, value)| (found == key).then_some(value))
    }

    /// Keys and values in the order in which they were written.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        let mut lexer = Lexer {
            input: self.raw,
            at: 1,
        };
        std::iter::from_fn(move || match lexer.token() {
            Ok(Token::Bytes(key)) => Some((key, Value { raw: lexer.skip()? })),
            _ => None,
        })
    }

    /// The dictionaries below this one in a single pass, however deep: those whose key `enters` are stepped into, all
    /// other values come whole. ([`Dict::iter`] on every level would look at the deepest bytes once for each level.)
    pub fn walk(self, enters: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = Step<'a>> {
        let mut lexer = Lexer {
            input: self.raw,
            at: 1,
        };
        let mut depth = 1usize;
        std::iter::from_fn(move || match lexer.token() {
            Ok(Token::Bytes(key)) if enters(key) && lexer.peek() == Ok(b'd') => {
                lexer.at += 1;
                depth += 1;
                Some(Step::Enter(key))
            }
            Ok(Token::Bytes(key)) => Some(Step::Value(key, Value { raw: lexer.skip()? })),
            _ => {
                depth = depth.saturating_sub(1);
                (depth > 0).then_some(Step::Leave)
            }
        })
    }
}

/// One step of [`Dict::walk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Into the dictionary of this key.
    Enter(&'a [u8]),
    /// Over the value of this key.
    Value(&'a [u8], Value<'a>),
    /// Back out of the dictionary entered last.
    Leave,
}
