//! What a job's channel is protected by, and who is given what of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use serde::{Deserialize, Serialize};

use crate::tls::AM_NAME;
use crate::{Identity, Token};

const DAY: Duration = Duration::from_hours(24);
/// How long certificates are valid: longer than any job. They end with it, because nobody keeps them.
const VALID: Duration = DAY.saturating_mul(3652);

/// The secrets of a job cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// No random numbers.
    #[error("the job's token cannot be drawn: {0}")]
    Random(#[from] getrandom::Error),
    /// No certificates.
    #[error("the job's certificates cannot be made: {0}")]
    Certificates(#[from] rcgen::Error),
}

/// All secrets of a job's channel. Made once, by who submits the job.
#[derive(Debug, Clone)]
pub struct JobSecrets {
    /// Carried by every call.
    pub token: Token,
    /// The certificate of the job's authority (PEM). Nobody has its key.
    pub ca: String,
    /// The AM's.
    pub am: Identity,
    /// That of all agents.
    pub agent: Identity,
    /// That of the owner's clients.
    pub client: Identity,
}

/// What the AM is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmSecrets {
    /// Carried by every call.
    pub token: Token,
    /// The AM's own.
    pub am: Identity,
    /// For its agents.
    pub agent: Identity,
    /// The certificate of the owner's clients (PEM).
    pub client_cert: String,
}

impl AmSecrets {
    /// The secret's name in the credentials of the AM's container.
    pub const SECRET: &str = "forebay.am";
}

/// What the owner's clients are given, in a file of the owner's alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSecrets {
    /// Carried by every call.
    pub token: Token,
    /// The clients' own.
    pub client: Identity,
}

impl JobSecrets {
    /// Makes an authority for this job, the certificates of all parties, and the token. The authority's key is thrown away.
    pub fn make(job_id: &str) -> Result<Self, SecretsError> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        let token = Token::new(random);
        let key = new_key()?;
        let mut params = params(job_id, "authority", Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let identity = |role, names, purpose| issue(&issuer, &ca, job_id, role, names, purpose);
        let am =
            identity("application master", vec![AM_NAME.to_owned()], ExtendedKeyUsagePurpose::ServerAuth)?;
        let agent = identity("agent", Vec::new(), ExtendedKeyUsagePurpose::ClientAuth)?;
        let client = identity("client", Vec::new(), ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(Self { token, ca, am, agent, client })
    }

    /// What the AM is to be given.
    pub fn for_am(&self) -> AmSecrets {
        AmSecrets {
            token: self.token.clone(),
            am: self.am.clone(),
            agent: self.agent.clone(),
            client_cert: self.client.cert.clone(),
        }
    }

    /// What the owner's clients are to be given.
    pub fn for_clients(&self) -> ClientSecrets {
        ClientSecrets { token: self.token.clone(), client: self.client.clone() }
    }
}

fn issue(
    issuer: &Issuer<'_, KeyPair>,
    ca: &str,
    job_id: &str,
    role: &str,
    names: Vec<String>,
    purpose: ExtendedKeyUsagePurpose,
) -> Result<Identity, rcgen::Error> {
    let key = new_key()?;
    let mut params = params(job_id, role, names)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    let cert = params.signed_by(&key, issuer)?.pem();
    Ok(Identity { ca: ca.to_owned(), cert, key: key.serialize_pem() })
}

/// Names are for people who look at a certificate; nothing depends on them but the AM's host name.
fn params(job_id: &str, role: &str, names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::OrganizationName, job_id);
    params.distinguished_name.push(DnType::CommonName, format!("forebay {role}"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The clocks of two hosts differ.
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
    params.not_after = params.not_before + VALID;
    Ok(params)
}

fn new_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{Bootstrap, ChannelEnd};

    #[test]
    fn secrets_are_told_to_whom_they_are_for_and_shown_to_nobody() {
        let job = JobSecrets::make("application_1700000000000_0007").unwrap();
        let bootstrap = Bootstrap {
            channel: ChannelEnd::Tls {
                address: "localhost:1".into(),
                am_file: "hdfs://cluster/am.json".into(),
                identity: job.agent.clone(),
            },
            token: job.token.clone(),
            index: 1,
            number: 2,
            job_id: "application_1700000000000_0007".into(),
            job_folder: PathBuf::from("job"),
            container: None,
        };
        let (am, clients) = (job.for_am(), job.for_clients());
        let json = [
            serde_json::to_string(&bootstrap).unwrap(),
            serde_json::to_string(&am).unwrap(),
            serde_json::to_string(&clients).unwrap(),
        ];
        assert_eq!(serde_json::from_str::<Bootstrap>(&json[0]).unwrap(), bootstrap);
        assert_eq!(serde_json::from_str::<AmSecrets>(&json[1]).unwrap(), am);
        assert_eq!(serde_json::from_str::<ClientSecrets>(&json[2]).unwrap(), clients);
        let token = serde_json::to_string(&job.token).unwrap().replace('"', "");
        let keys = [&job.am.key, &job.agent.key, &job.client.key];
        let middle = |key: &str| key.lines().nth(1).unwrap().to_owned();
        // Whoever knows one key knows no other.
        assert!(json[0].contains(&middle(keys[1])) && !json[0].contains(&middle(keys[2])));
        assert!(json[2].contains(&middle(keys[2])) && !json[2].contains(&middle(keys[0])));
        assert!(!json[1].contains(&middle(keys[2])));
        let shown = format!("{job:?} {am:?} {clients:?} {bootstrap:?}");
        assert!(!shown.contains(&token) && !shown.contains("KEY"), "{shown}");
        assert!(keys.iter().all(|key| !shown.contains(&middle(key))), "{shown}");
    }
}
