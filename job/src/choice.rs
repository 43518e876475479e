//! Settings that are one of a few words.

use core::fmt;
use core::str::FromStr;

use crate::names;

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident: $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The words, the default first.
            pub const WORDS: &[&str] = &[$($word),+];

            /// Its word.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(names::unknown("value", text, Self::WORDS)),
                }
            }
        }
    };
}

choice! {
    /// How a worker gets the input.
    InputMode:
    /// Records on standard input.
    Stream = "stream",
    /// Files in `./<alias>/` before it starts.
    Download = "download",
    /// Names of files in `INPUT_FILE_LIST`.
    List = "list",
}

choice! {
    /// What of a worker is output.
    OutputMode:
    /// A folder in its working folder.
    Upload = "upload",
    /// What it writes to standard output.
    Stream = "stream",
}

choice! {
    /// What it means when a worker exits with 0 and has not taken all of its input.
    EarlyExit:
    /// The job fails.
    Fail = "fail",
    /// The split that it was in counts as partly read.
    Ok = "ok",
}

choice! {
    /// What the input of a worker that died becomes.
    OnRestart:
    /// All of it is fed again, and what it had made is thrown away.
    ReplayAll = "replay-all",
    /// What it had acknowledged is not fed again.
    FromAck = "from-ack",
}

choice! {
    /// How delivered records are set apart.
    Framing:
    /// As the format does it.
    Raw = "raw",
    /// Each behind its length.
    Length = "length",
}

choice! {
    /// What of a SequenceFile's records is delivered.
    SequenceFields:
    /// Values.
    Value = "value",
    /// Keys and values.
    KeyValue = "key-value",
}

choice! {
    /// How delivered lines end.
    LineEnding:
    /// As stored.
    Keep = "keep",
    /// Always with `\n`.
    Lf = "lf",
}
