//! What a torrent is about. The one list of categories: the database, JSON and Torznab all take theirs from here.

use crate::columns::Word;

macro_rules! categories {
    ($($(#[$doc:meta])* $name:ident = $word:literal $number:literal $title:literal;)+) => {
        /// What a torrent is about.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum Category {
            $($(#[$doc])* $name,)+
        }

        impl Category {
            /// Every category, in the order in which people see them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// As it is written in the database and in JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }

            /// Its number in Torznab feeds.
            pub fn torznab(self) -> u32 {
                match self {
                    $(Self::$name => $number,)+
                }
            }

            /// What Torznab calls that number.
            pub fn torznab_name(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)+
                }
            }
        }
    };
}

categories! {
    /// Films.
    Movies = "movies" 2000 "Movies";
    /// Series and broadcasts.
    Tv = "tv" 5000 "TV";
    /// Music and other sound.
    Music = "music" 3000 "Audio";
    /// For consoles and computers; Torznab has them under consoles.
    Games = "games" 1000 "Console";
    /// Programs.
    Apps = "apps" 4000 "PC";
    /// Books, comics and magazines.
    Books = "books" 7000 "Books";
    /// Anime; Torznab has it under TV.
    Anime = "anime" 5070 "TV/Anime";
    /// For adults.
    Xxx = "xxx" 6000 "XXX";
    /// Anything else, and what nobody has sorted yet.
    #[default]
    Other = "other" 8000 "Other";
}

impl Category {
    /// The one of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|category| category.name() == name)
    }
}

impl Word for Category {
    const ALL: &'static [Self] = Self::ALL;
    const COLUMN: &'static str = "torrents.category";

    fn word(self) -> &'static str {
        self.name()
    }
}
