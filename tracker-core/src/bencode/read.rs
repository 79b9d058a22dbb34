//! The check of a whole input, before anybody looks into it.

use super::lexer::{Lexer, Token};
use super::{Error, MAX_DEPTH, MAX_LEN, Problem, Value};

/// Checks that `input` is one bencoded value and nothing else.
///
/// Takes time in proportion to the input (a dictionary out of order costs a sort), and remembers 16 bytes a key of the
/// dictionaries that are open, which is at most some four times the input.
pub fn parse(input: &[u8]) -> Result<Value<'_>, Error> {
    if input.len() > MAX_LEN {
        return Err(Error {
            at: MAX_LEN,
            problem: Problem::TooLong,
        });
    }
    let mut check = Check {
        lexer: Lexer { input, at: 0 },
        open: Vec::new(),
        keys: Vec::new(),
    };
    check.value()?;
    match check.lexer.at {
        at if at == input.len() => Ok(Value { raw: input }),
        at => Err(Error {
            at,
            problem: Problem::TrailingBytes,
        }),
    }
}

/// A list or dictionary whose end hasn't been seen.
#[derive(Clone, Copy)]
enum Open {
    List,
    /// `keys_from`: where its keys begin in [`Check::keys`].
    Dict {
        keys_from: usize,
        sorted: bool,
        awaits_value: bool,
    },
}

struct Check<'a> {
    lexer: Lexer<'a>,
    open: Vec<Open>,
    /// The keys so far of every open dictionary, the outermost first.
    keys: Vec<&'a [u8]>,
}

impl<'a> Check<'a> {
    /// One whole value, whatever is in it.
    fn value(&mut self) -> Result<(), Error> {
        loop {
            let at = self.lexer.at;
            let token = self.lexer.token()?;
            self.step(token).map_err(|problem| Error { at, problem })?;
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    fn step(&mut self, token: Token<'a>) -> Result<(), Problem> {
        match (self.open.last_mut(), token) {
            (
                Some(&mut Open::Dict {
                    awaits_value: false,
                    keys_from,
                    sorted,
                }),
                Token::End,
            ) => self.close_dict(keys_from, sorted),
            (
                Some(Open::Dict {
                    awaits_value: awaits @ false,
                    keys_from,
                    sorted,
                }),
                Token::Bytes(key),
            ) => {
                let before = self.keys.get(*keys_from..).and_then(|keys| keys.last());
                *sorted &= before.is_none_or(|before| *before < key);
                *awaits = true;
                self.keys.push(key);
                Ok(())
            }
            (
                Some(Open::Dict {
                    awaits_value: false,
                    ..
                }),
                _,
            ) => Err(Problem::KeyNotString),
            (Some(Open::Dict { .. }), Token::End) => Err(Problem::KeyWithoutValue),
            (Some(Open::List), Token::End) => {
                self.open.pop();
                Ok(())
            }
            (None, Token::End) => Err(Problem::UnexpectedByte(b'e')),
            (_, value) => self.begin(&value),
        }
    }

    /// A value where one is due.
    fn begin(&mut self, value: &Token<'_>) -> Result<(), Problem> {
        if let Some(Open::Dict { awaits_value, .. }) = self.open.last_mut() {
            *awaits_value = false;
        }
        let opened = match value {
            Token::List => Open::List,
            Token::Dict => Open::Dict {
                keys_from: self.keys.len(),
                sorted: true,
                awaits_value: false,
            },
            _ => return Ok(()),
        };
        if self.open.len() == MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        self.open.push(opened);
        Ok(())
    }

    /// A key equal to the one before it isn't sorted either, so only an unsorted dictionary can have one twice.
    fn close_dict(&mut self, keys_from: usize, sorted: bool) -> Result<(), Problem> {
        if !sorted {
            let keys = self.keys.get_mut(keys_from..).unwrap_or_default();
            keys.sort_unstable();
            if keys.windows(2).any(|pair| pair.first() == pair.last()) {
                return Err(Problem::DuplicateKey);
            }
        }
        self.keys.truncate(keys_from);
        self.open.pop();
        Ok(())
    }
}
