//! The oldest kernel that has what a feed needs: pidfds that can be polled for any process (5.3), and a
//! splice that is trusted (5.4).

use crate::talk::Failure;

const OLDEST: (u32, u32) = (5, 4);

pub(crate) fn check() -> Result<(), Failure> {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    if is_new_enough(&release) {
        return Ok(());
    }
    let (major, minor) = OLDEST;
    Err(Failure::failed(format!(
        "this machine runs Linux {release}; Forebay needs Linux {major}.{minor} or newer"
    )))
}

fn is_new_enough(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST
}

#[cfg(test)]
mod tests {
    use super::is_new_enough;

    #[test]
    fn releases() {
        for good in ["5.4.0-150-generic", "5.10", "6.18.44-fc", "10.0.1"] {
            assert!(is_new_enough(good), "{good}");
        }
        for bad in ["5.3.18", "4.19.0", "3.10.0-1160.el7.x86_64", "", "x"] {
            assert!(!is_new_enough(bad), "{bad}");
        }
    }
}
