//! Exceptions that a server sends, as errors one can ask what they are.

/// How a server classifies an error (`RpcHeader.proto`, `RpcErrorCodeProto`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RpcCode {
    /// 1: the called method threw an exception.
    Application,
    /// 2: there is no such method.
    NoSuchMethod,
    /// 3: there is no such protocol.
    NoSuchProtocol,
    /// 4: the server failed around the call.
    Server,
    /// 5: the answer could not be written.
    SerializingResponse,
    /// 6: the protocol has another version.
    VersionMismatch,
    /// 15: the client may not connect.
    Unauthorized,
    /// Another code, or none (0).
    Other(i32),
}

impl RpcCode {
    pub(super) fn from_wire(code: Option<i32>) -> Self {
        match code {
            Some(1) => Self::Application,
            Some(2) => Self::NoSuchMethod,
            Some(3) => Self::NoSuchProtocol,
            Some(4) => Self::Server,
            Some(5) => Self::SerializingResponse,
            Some(6) => Self::VersionMismatch,
            Some(15) => Self::Unauthorized,
            other => Self::Other(other.unwrap_or(0)),
        }
    }
}

/// An exception of the server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", self.short_class())]
pub struct RemoteError {
    /// The exception's Java class, for example `java.io.FileNotFoundException`.
    pub class: String,
    /// Its message without the stack trace.
    pub message: String,
    /// The server's classification.
    pub code: RpcCode,
}

impl RemoteError {
    /// Of the wire's fields: the message ends where the Java stack begins.
    pub(super) fn from_wire(class: Option<String>, message: Option<String>, code: Option<i32>) -> Self {
        let mut message = message.unwrap_or_default();
        if let Some(stack) = message.find("\n\tat ") {
            message.truncate(stack);
        }
        // toString of an exception begins with its class, which is said already.
        let class = class.unwrap_or_else(|| "(no exception named)".to_owned());
        if let Some(rest) = message.strip_prefix(&class).and_then(|rest| rest.strip_prefix(": ")) {
            message = rest.to_string();
        }
        Self { class, message, code: RpcCode::from_wire(code) }
    }

    /// The class without its package.
    pub fn short_class(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or(&self.class)
    }

    fn is(&self, class: &str) -> bool {
        self.short_class() == class
    }

    /// The server is not the active one: another may be.
    pub fn is_standby(&self) -> bool {
        self.is("StandbyException") || self.is("ObserverRetryOnActiveException")
    }

    /// The server asks to be asked again later.
    pub fn is_retriable(&self) -> bool {
        self.is("RetriableException")
    }

    /// The NameNode is starting, and does not yet know its blocks.
    pub fn is_safe_mode(&self) -> bool {
        self.is("SafeModeException")
    }

    /// There is no such file, or the path is a directory where a file was wanted.
    pub fn is_file_not_found(&self) -> bool {
        self.is("FileNotFoundException")
    }

    /// The user may not do this.
    pub fn is_access_denied(&self) -> bool {
        self.is("AccessControlException") || self.is("AuthorizationException")
    }

    /// The token is unknown, expired or cancelled.
    pub fn is_invalid_token(&self) -> bool {
        self.is("SecretManager$InvalidToken") || self.is("InvalidToken")
    }

    /// The server does not know the method or the protocol: it is another server, or an older one.
    pub fn is_unknown_call(&self) -> bool {
        matches!(self.code, RpcCode::NoSuchMethod | RpcCode::NoSuchProtocol | RpcCode::VersionMismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_java_stack_is_cut_off() {
        let message = "File does not exist: /x\n\tat org.apache.hadoop.A.b(A.java:1)\n\tat c";
        let error = RemoteError::from_wire(
            Some("java.io.FileNotFoundException".into()),
            Some(message.into()),
            Some(1),
        );
        assert_eq!(error.to_string(), "FileNotFoundException: File does not exist: /x");
        assert!(error.is_file_not_found() && !error.is_standby());
        assert_eq!(error.code, RpcCode::Application);
    }

    #[test]
    fn what_lacks_has_words() {
        let error = RemoteError::from_wire(None, None, Some(99));
        assert_eq!((error.class.as_str(), error.code), ("(no exception named)", RpcCode::Other(99)));
        let inner = "org.apache.hadoop.security.token.SecretManager$InvalidToken";
        let error = RemoteError::from_wire(Some(inner.into()), Some(format!("{inner}: gone")), None);
        assert_eq!(error.to_string(), "SecretManager$InvalidToken: gone");
        assert!(error.is_invalid_token());
    }
}
