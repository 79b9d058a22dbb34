//! Bytes to tokens: the one place where bencode's spelling is known.

use super::{Error, Problem};

pub(super) enum Token<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    List,
    Dict,
    End,
}

/// Where we are in the input.
pub(super) struct Lexer<'a> {
    pub(super) input: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn token(&mut self) -> Result<Token<'a>, Error> {
        let start = self.at;
        let first = self.peek()?;
        match first {
            b'0'..=b'9' => return self.string(),
            b'i' | b'l' | b'd' | b'e' => self.at += 1,
            other => {
                return Err(Error {
                    at: start,
                    problem: Problem::UnexpectedByte(other),
                });
            }
        }
        Ok(match first {
            b'i' => Token::Int(self.number(b'e')?),
            b'l' => Token::List,
            b'd' => Token::Dict,
            _ => Token::End,
        })
    }

    fn string(&mut self) -> Result<Token<'a>, Error> {
        let start = self.at;
        let len = self.number(b':')?;
        let bytes = usize::try_from(len)
            .ok()
            .and_then(|len| self.at.checked_add(len))
            .and_then(|end| self.input.get(self.at..end))
            .ok_or(Error {
                at: start,
                problem: Problem::CutShort,
            })?;
        self.at += bytes.len();
        Ok(Token::Bytes(bytes))
    }

    /// A number in its one canonical spelling, and the byte that ends it.
    fn number(&mut self, end: u8) -> Result<i64, Error> {
        let start = self.at;
        let wrong = |problem| Err(Error { at: start, problem });
        let negative = self.peek()? == b'-';
        if negative {
            self.at += 1;
        }
        let digits = self.at;
        let mut number = 0i64;
        loop {
            let byte = self.peek()?;
            if !byte.is_ascii_digit() {
                break;
            }
            // Built up below zero, where there is room for i64::MIN.
            let grown = number
                .checked_mul(10)
                .and_then(|n| n.checked_sub(i64::from(byte - b'0')));
            match grown {
                Some(grown) => number = grown,
                None => return wrong(Problem::NumberTooBig),
            }
            self.at += 1;
        }
        match self.peek()? {
            byte if byte == end => {}
            byte => {
                return Err(Error {
                    at: self.at,
                    problem: Problem::UnexpectedByte(byte),
                });
            }
        }
        let written = self.input.get(digits..self.at).unwrap_or_default();
        self.at += 1;
        match written {
            [] => wrong(Problem::NoDigits),
            [b'0', _, ..] => wrong(Problem::NotCanonical),
            [b'0'] if negative => wrong(Problem::NotCanonical),
            _ if negative => Ok(number),
            _ => number.checked_neg().ok_or(Error {
                at: start,
                problem: Problem::NumberTooBig,
            }),
        }
    }

    pub(super) fn peek(&self) -> Result<u8, Error> {
        self.input.get(self.at).copied().ok_or(Error {
            at: self.at,
            problem: Problem::CutShort,
        })
    }

    /// Steps over the next value of a checked list or dictionary; `None` at its end.
    pub(super) fn skip(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        let mut open = 0usize;
        loop {
            match self.token().ok()? {
                Token::List | Token::Dict => open += 1,
                Token::End => open = open.checked_sub(1)?,
                Token::Int(_) | Token::Bytes(_) => {}
            }
            if open == 0 {
                return self.input.get(start..self.at);
            }
        }
    }
}
