//! Signatures of model files: minisign's format, in a file of its own beside the model (`MODEL.onnx.minisig`).
//!
//! A station that is given a public key runs only what its owner signed. What is verified is what is loaded: the bytes are read
//! once, and a model whose tensors lie in other files, which no signature covers, is refused.

use std::ffi::OsString;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use minisign::{KeyPair, SecretKey, SignatureBox};

use crate::Error;

/// A minisign public key that was checked to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(String);

impl PublicKey {
    /// From its one line, `RW` and 54 more characters.
    ///
    /// # Errors
    /// Where the text is no public key: why.
    pub fn parse(text: &str) -> Result<PublicKey, String> {
        match minisign::PublicKey::from_base64(text.trim()) {
            Ok(_) => Ok(PublicKey(text.trim().to_owned())),
            Err(_) => Err("no minisign public key; expected the line of a .pub file that begins with RW".to_owned()),
        }
    }

    /// From its line, or from a `.pub` file that holds it.
    ///
    /// # Errors
    /// [`Error::Setting`] where it is neither, [`Error::Io`] where the file cannot be read.
    pub fn parse_or_read(text: &str) -> Result<PublicKey, Error> {
        let wrong =
            |value: &str, expected: String| Error::Setting { key: "public-key", value: value.to_owned(), expected };
        let path = Path::new(text);
        if !path.is_file() {
            let expected = "a minisign public key (RW...) or a .pub file that holds one".to_owned();
            return PublicKey::parse(text).map_err(|_| wrong(text, expected));
        }
        let file = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", e))?;
        let line = file.lines().find(|line| !line.starts_with("untrusted comment:")).unwrap_or_default();
        PublicKey::parse(line).map_err(|reason| wrong(text, format!("a .pub file; its key is {reason}")))
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the signature of a model lies.
pub fn signature_of(model: &Path) -> PathBuf {
    let mut name = OsString::from(model);
    name.push(".minisig");
    PathBuf::from(name)
}

/// Checks the signature beside a model whose bytes these are. Returns the signature's trusted comment.
///
/// # Errors
/// [`Error::Signature`] where there is none, it is damaged, made with another key, or of another file.
pub fn verify(model: &Path, bytes: &[u8], key: &PublicKey) -> Result<String, Error> {
    let refuse = |reason: String| Error::Signature { name: model.display().to_string(), reason, key: key.to_string() };
    let place = signature_of(model);
    let text = match std::fs::read_to_string(&place) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(refuse("it is not signed".to_owned()));
        }
        Err(error) => return Err(Error::io(&place, "read", error)),
    };
    let damaged = |e: minisign::PError| refuse(format!("{} is no minisign signature: {e}", place.display()));
    let signature = SignatureBox::from_string(&text).map_err(damaged)?;
    let public = minisign::PublicKey::from_base64(&key.0).map_err(damaged)?;
    minisign::verify(&public, &signature, Cursor::new(bytes), true, false, false)
        .map_err(|e| refuse(format!("its signature does not hold: {e}")))?;
    signature.trusted_comment().map_err(damaged)
}

/// Signs a model and writes the signature beside it. Returns the signature's path.
///
/// A secret key with a password asks for it at the terminal where `password` is none.
///
/// # Errors
/// [`Error::Io`] where a file cannot be read or written, [`Error::Setting`] where the key or its password is wrong.
pub fn sign(model: &Path, secret_key: &Path, password: Option<String>) -> Result<PathBuf, Error> {
    let bytes = std::fs::read(model).map_err(|e| Error::io(model, "read", e))?;
    let text = std::fs::read_to_string(secret_key).map_err(|e| Error::io(secret_key, "read", e))?;
    let wrong = |e: minisign::PError| Error::Setting {
        key: "key",
        value: secret_key.display().to_string(),
        expected: format!("a minisign secret key and its password: {e}"),
    };
    let secret = secret(&text, password).map_err(wrong)?;
    let name = model.file_name().unwrap_or_default().to_string_lossy();
    let comment = format!("file:{name}\tsha256:{}", crate::inspection::sha256(&bytes));
    let signature =
        minisign::sign(None, &secret, Cursor::new(&bytes), Some(&comment), Some("signature of a jidoka model"));
    let place = signature_of(model);
    crate::write_atomic(&place, signature.map_err(wrong)?.into_string().as_bytes())?;
    Ok(place)
}

/// A secret key from its file's text: one without a password needs none.
fn secret(text: &str, password: Option<String>) -> minisign::Result<SecretKey> {
    let boxed = || minisign::SecretKeyBox::from_string(text);
    match boxed()?.into_unencrypted_secret_key() {
        Ok(secret) => Ok(secret),
        Err(_) => boxed()?.into_secret_key(password),
    }
}

/// Makes a pair of keys: the secret one for `secret_key` (readable by its owner alone), the public one for `public_key`. Neither
/// file may be there already. Without `password` it is asked for at the terminal, and `Some("")` makes a key that needs none.
///
/// # Errors
/// [`Error::Io`] where a file is there already or cannot be written, [`Error::Setting`] where no password was given.
pub fn make_keys(secret_key: &Path, public_key: &Path, password: Option<String>) -> Result<PublicKey, Error> {
    for path in [secret_key, public_key] {
        if path.exists() {
            let there = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(Error::io(path, "make a key over one that is there", there));
        }
    }
    let wrong = |e: minisign::PError| Error::Setting {
        key: "key",
        value: secret_key.display().to_string(),
        expected: format!("a password, twice the same: {e}"),
    };
    let pair = match password.as_deref() {
        Some("") => KeyPair::generate_unencrypted_keypair(),
        _ => KeyPair::generate_encrypted_keypair(password),
    }
    .map_err(wrong)?;
    let text = pair.sk.to_box(Some("secret key of a jidoka station's owner")).map_err(wrong)?.into_string();
    crate::files::write_private(secret_key, text.as_bytes())?;
    let public = pair.pk.to_box().map_err(wrong)?.into_string();
    crate::write_atomic(public_key, public.as_bytes())?;
    Ok(PublicKey(pair.pk.to_base64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_file_and_its_key_and_for_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let key = make_keys(&at("a.key"), &at("a.pub"), Some(String::new())).unwrap();
        let other = make_keys(&at("b.key"), &at("b.pub"), Some("secret".to_owned())).unwrap();
        assert_eq!(PublicKey::parse_or_read(at("a.pub").to_str().unwrap()).unwrap(), key);
        assert_eq!(PublicKey::parse_or_read(&key.to_string()).unwrap(), key);
        std::fs::write(at("m.onnx"), b"a model").unwrap();

        let check = |bytes: &[u8], key: &PublicKey, words: &str| {
            let text = verify(&at("m.onnx"), bytes, key).unwrap_err().to_string();
            assert!(text.contains("m.onnx") && text.contains(words) && text.contains("jidoka model sign"), "{text}");
        };
        check(b"a model", &key, "not signed");
        sign(&at("m.onnx"), &at("a.key"), None).unwrap();
        assert!(verify(&at("m.onnx"), b"a model", &key).unwrap().contains("file:m.onnx"));
        check(b"another", &key, "does not hold");
        check(b"a model", &other, "does not hold");
        sign(&at("m.onnx"), &at("b.key"), Some("secret".to_owned())).unwrap();
        verify(&at("m.onnx"), b"a model", &other).unwrap();
        std::fs::write(signature_of(&at("m.onnx")), "nothing").unwrap();
        check(b"a model", &key, "no minisign signature");
    }

    #[test]
    fn keys_are_private_never_written_over_and_named_when_they_are_wrong() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        make_keys(&at("k"), &at("k.pub"), Some("word".to_owned())).unwrap();
        assert_eq!(std::fs::metadata(at("k")).unwrap().permissions().mode() & 0o777, 0o600);
        let text = make_keys(&at("k"), &at("new.pub"), Some(String::new())).unwrap_err().to_string();
        assert!(text.contains("over one that is there") && !at("new.pub").exists(), "{text}");
        std::fs::write(at("m.onnx"), b"a model").unwrap();
        let text = sign(&at("m.onnx"), &at("k"), Some("wrong".to_owned())).unwrap_err().to_string();
        assert!(text.contains("key = ") && text.contains("password"), "{text}");
        assert!(!signature_of(&at("m.onnx")).exists());
        let text = PublicKey::parse_or_read("RWnothing").unwrap_err().to_string();
        assert!(text.contains("public-key = RWnothing") && text.contains(".pub"), "{text}");
    }
}
