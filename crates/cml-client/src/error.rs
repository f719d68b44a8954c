//! What can go wrong between a client and a server.

use cml_ir::IrError;
use cml_keys::ClientError;
use cml_scheme::ArtifactError;
use std::io;
use std::path::PathBuf;

/// Why a prediction cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// An address that no server can have.
    #[error("server {url:?}: {why}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A token with characters that no HTTP header holds.
    #[error("the token holds characters that an HTTP header cannot")]
    Token,
    /// Certificates that cannot be read.
    #[error("certificates to trust: {0}")]
    Roots(String),
    /// The connection failed or took too long.
    #[error("{request}: {source}{}", advice(request, source))]
    Connection {
        /// Method and address.
        request: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The server refuses.
    #[error("{request}: the server answers {status} {code}: {text}")]
    Refused {
        /// Method and address.
        request: String,
        /// HTTP status.
        status: u16,
        /// Its word for the reason.
        code: String,
        /// Its message.
        text: String,
    },
    /// The server was busy for as long as the client waits.
    #[error("{request}: the server is still busy after {seconds} s: {text}")]
    Busy {
        /// Method and address.
        request: String,
        /// How long the client waited.
        seconds: u64,
        /// Its message.
        text: String,
    },
    /// A job that took longer than the client waits.
    #[error("job {job} is not done after {seconds} s")]
    Timeout {
        /// Job.
        job: String,
        /// How long the client waited.
        seconds: u64,
    },
    /// An answer that is not what was asked for.
    #[error("{request}: the answer {why}")]
    Answer {
        /// Method and address.
        request: String,
        /// What is wrong with it.
        why: String,
    },
    /// An answer of the right kind that does not hold what it should.
    #[error("{request}: {source}")]
    Content {
        /// Method and address.
        request: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No model, or not one, of that name.
    #[error("{asked}; the server has {has}")]
    Model {
        /// What was asked for.
        asked: String,
        /// Models of the server.
        has: String,
    },
    /// The server describes a circuit differently than when the keys were drawn.
    #[error(
        "the server describes circuit {circuit} differently than when the keys in {} were drawn",
        folder.display()
    )]
    SpecChanged {
        /// Start of the circuit's hash.
        circuit: String,
        /// Folder of the keys.
        folder: PathBuf,
    },
    /// A circuit that promises less than the client requires.
    #[error("network {network} promises {promises}, the client requires {requires}")]
    Promise {
        /// Network.
        network: String,
        /// What its client spec says.
        promises: String,
        /// What the client asks for.
        requires: String,
    },
    /// Evaluation keys that are larger than was agreed to.
    #[error("keys of network {network} take {has} bytes, limit {limit}")]
    KeySize {
        /// Network.
        network: String,
        /// Bytes to upload.
        has: u64,
        /// Limit.
        limit: u64,
    },
    /// A network that rows of floats do not serve.
    #[error("network {network} has {has} inputs, rows of floats serve 1")]
    Inputs {
        /// Network.
        network: String,
        /// Its inputs.
        has: usize,
    },
    /// A row that does not fit.
    #[error("row {row}: {source}")]
    Row {
        /// Number of the row, from 0.
        row: usize,
        /// What is wrong with it.
        source: Box<IrError>,
    },
    /// A folder of keys that cannot be used.
    #[error("{}: {source}", path.display())]
    Store {
        /// Folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder of keys that others may write to.
    #[error("{}: mode {mode:o} lets others write here; keys need a folder of your own", path.display())]
    Mode {
        /// Folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A folder or file of keys that belongs to somebody else.
    #[error("{}: belongs to user {owner}; keys have to belong to user {user} or to root", path.display())]
    Owner {
        /// Folder or file.
        path: PathBuf,
        /// Number of its owner.
        owner: u32,
        /// Number of the user of this process.
        user: u32,
    },
    /// Something else, or a link, where a folder or file of keys should be.
    #[error("{}: is no {needs}; links are not followed here", path.display())]
    Kind {
        /// What is there.
        path: PathBuf,
        /// What should be.
        needs: &'static str,
    },
    /// A file of keys that others may write to.
    #[error("{}: mode {mode:o} lets others change a file of keys; make it 600", path.display())]
    FileMode {
        /// File.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A secret key in the clear that others may read.
    #[error("{}: mode {mode:o} lets others at a secret key; make it 600", path.display())]
    SecretMode {
        /// File of the key.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Keys of two pairs in one folder.
    #[error("{}: the evaluation keys are not those of the secret key beside them", path.display())]
    KeyPair {
        /// File of the evaluation keys.
        path: PathBuf,
    },
    /// A secret key in the clear, and a passphrase.
    #[error("{} is under no passphrase, and one is given", path.display())]
    NoPassphrase {
        /// File of the key.
        path: PathBuf,
    },
    /// A secret key under a passphrase, and no passphrase.
    #[error("{} is under a passphrase, and none is given", path.display())]
    Passphrase {
        /// File of the key.
        path: PathBuf,
    },
    /// A file that does not hold what it should.
    #[error(transparent)]
    Artifact(Box<ArtifactError>),
    /// Encryption or decryption.
    #[error(transparent)]
    Client(Box<ClientError>),
}

impl RemoteError {
    /// What a server sent is not what it should be.
    pub(crate) fn content(request: String, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Content {
            request,
            source: Box::new(source),
        }
    }
}

impl From<ArtifactError> for RemoteError {
    fn from(source: ArtifactError) -> Self {
        Self::Artifact(Box::new(source))
    }
}

impl From<ClientError> for RemoteError {
    fn from(source: ClientError) -> Self {
        Self::Client(Box::new(source))
    }
}

/// What to do about a connection that fails, where that is known.
fn advice(request: &str, source: &ureq::Error) -> &'static str {
    let text = source.to_string();
    if text.contains("UnknownIssuer") {
        "; no trusted authority vouches for its certificate: trust that, or its authority's, by `--ca` \
         or `Options::roots`"
    } else if text.contains("CaUsedAsEndEntity") {
        "; its certificate is an authority's and no server's: it needs `basicConstraints=CA:FALSE`"
    } else if text.contains("InvalidContentType") {
        "; the server does not speak TLS: perhaps its address begins with http://"
    } else if text.contains("http parse fail") && request.contains(" http://") {
        "; perhaps the server speaks TLS, and its address begins with https://"
    } else {
        ""
    }
}
