//! Where a provisioning server has its file.

use super::{HttpUrl, HttpUrlError};

/// Where the stock boxes ask for it.
const PATH: &str = "/prov/tvip_provision.xml";

/// The address of a provisioning file, of which as little as a host need be given.
///
/// Without scheme it is `http://`, without path `/prov/tvip_provision.xml`, as the stock boxes complete it. A path
/// that is given stays as it is, a doubled slash included.
///
/// # Errors
/// See [`HttpUrl::parse`].
pub fn server_url(text: &str) -> Result<HttpUrl, HttpUrlError> {
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let given = HttpUrl::parse(&with_scheme)?;
    let (head, path) = with_scheme.split_at(given.path);
    match path.strip_prefix('/').unwrap_or(path) {
        rest if rest.is_empty() || rest.starts_with(['?', '#']) => {
            HttpUrl::parse(&format!("{head}{PATH}{rest}"))
        }
        _ => Ok(given),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::host("prov.example.net", "http://prov.example.net/prov/tvip_provision.xml")]
    #[case::port("10.0.0.1:8080", "http://10.0.0.1:8080/prov/tvip_provision.xml")]
    #[case::ipv6("[2001:db8::1]", "http://[2001:db8::1]/prov/tvip_provision.xml")]
    #[case::scheme("https://prov.example.net", "https://prov.example.net/prov/tvip_provision.xml")]
    #[case::root("http://prov.example.net/", "http://prov.example.net/prov/tvip_provision.xml")]
    #[case::query("prov.example.net?mac=1", "http://prov.example.net/prov/tvip_provision.xml?mac=1")]
    #[case::root_query("prov.example.net/?m=1", "http://prov.example.net/prov/tvip_provision.xml?m=1")]
    #[case::path("prov.example.net/box.xml", "http://prov.example.net/box.xml")]
    #[case::doubled("http://h//prov/tvip_provision.xml", "http://h//prov/tvip_provision.xml")]
    #[case::line_end(" h\n", "http://h/prov/tvip_provision.xml")]
    fn completed(#[case] text: &str, #[case] url: &str) {
        assert_eq!(server_url(text).unwrap().as_str(), url);
    }

    #[rstest]
    #[case::empty("", HttpUrlError::NoHost)]
    #[case::other("ftp://h/", HttpUrlError::Scheme)]
    #[case::space("a b", HttpUrlError::Character)]
    #[case::path_alone("/prov/x.xml", HttpUrlError::NoHost)]
    fn refused(#[case] text: &str, #[case] error: HttpUrlError) {
        assert_eq!(server_url(text), Err(error));
    }
}
