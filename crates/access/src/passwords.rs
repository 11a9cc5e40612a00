//! Checks passwords against bcrypt hashes. That is slow by design, so it runs off the async threads, few at a time, and good ones are remembered.

use crate::scope::Scopes;
use parking_lot::Mutex;
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use subtle::{Choice, ConstantTimeEq};
use tokio::sync::Semaphore;

/// Good passwords that are remembered; of users, there are few.
const REMEMBERED_MAX: usize = 128;
/// Passwords that wait to be checked.
const WAITING_MAX: usize = 64;
/// Longest wait for a turn.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Longest name and longest password, in bytes; bcrypt looks at the first 72 of a password.
const BYTES_MAX: usize = 1024;

/// Users by name: the hash of the password, and what they may do.
pub(crate) type Users = BTreeMap<String, User>;

/// What is known of a user.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) hash: String,
    pub(crate) scopes: Scopes,
}

/// What became of a password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    Good(Scopes),
    Wrong,
    /// Too many are being checked.
    Busy,
}

/// Checks passwords. Lives as long as the process; which users there are may change.
pub(crate) struct Passwords {
    /// Goes into what is remembered, so that it means nothing outside of this process.
    salt: [u8; 32],
    /// Salted hashes of good credentials, the oldest first. Wrong ones are not remembered: whoever sends many of them could
    /// make room with them for more.
    remembered: Mutex<VecDeque<[u8; 32]>>,
    turns: Arc<Semaphore>,
    places: Semaphore,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let mut salt = [0; 32];
        SystemRandom::new().fill(&mut salt).expect("the system has random numbers");
        // Half of the cores, so that whoever tries passwords leaves the other half.
        let turns = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        Self {
            salt,
            remembered: Mutex::default(),
            turns: Arc::new(Semaphore::new(turns)),
            places: Semaphore::new(WAITING_MAX),
        }
    }

    /// Whether `name` and `password` are those of a user. An unknown name costs as much as a wrong password.
    pub(crate) async fn check(&self, users: &Users, name: &str, password: &[u8]) -> Checked {
        if name.len() > BYTES_MAX || password.len() > BYTES_MAX {
            return Checked::Wrong;
        }
        let user = users.get(name);
        // Some hash has to be computed for a name that nobody has: that of the most expensive user.
        let stand_in = || users.values().max_by_key(|user| cost(&user.hash));
        let Some(User { hash, scopes }) = user.or_else(stand_in) else { return Checked::Wrong };
        let (hash, scopes) = (hash.clone(), *scopes);
        let key = self.key(name, &hash, password);
        if user.is_some() && self.is_remembered(&key) {
            return Checked::Good(scopes);
        }
        let Ok(_place) = self.places.try_acquire() else { return Checked::Busy };
        let turn = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Checked::Busy };
        let password = password.to_vec();
        let checked = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, not with whoever waits for it.
            let _turn = turn;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        let good = checked.await.unwrap_or(false) && user.is_some();
        if !good {
            return Checked::Wrong;
        }
        self.remember(key);
        Checked::Good(scopes)
    }

    fn key(&self, name: &str, hash: &str, password: &[u8]) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(&self.salt);
        // With their lengths, so that no two credentials are the same text.
        for part in [name.as_bytes(), hash.as_bytes(), password] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        key
    }

    fn is_remembered(&self, key: &[u8; 32]) -> bool {
        let remembered = self.remembered.lock();
        let found = remembered.iter().fold(Choice::from(0), |found, known| found | known[..].ct_eq(&key[..]));
        found.into()
    }

    fn remember(&self, key: [u8; 32]) {
        let mut remembered = self.remembered.lock();
        if !remembered.contains(&key) {
            if remembered.len() == REMEMBERED_MAX {
                remembered.pop_front();
            }
            remembered.push_back(key);
        }
    }
}

/// The cost in a hash, the binary logarithm of its rounds; `None` if it is none that bcrypt takes.
pub(crate) fn cost(hash: &str) -> Option<u32> {
    hash.parse::<bcrypt::HashParts>().ok().map(|parts| parts.get_cost())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;

    /// The least that bcrypt takes, so that tests are quick.
    fn users(names: &[(&str, &str)]) -> Users {
        let user = |password: &str| User { hash: bcrypt::hash(password, 4).unwrap(), scopes: Scopes::ALL };
        names.iter().map(|(name, password)| ((*name).to_owned(), user(password))).collect()
    }

    #[tokio::test]
    async fn the_password_of_a_user_is_good_and_every_other_is_not() {
        let mut users = users(&[("alice", "secret"), ("bob", "")]);
        users.get_mut("bob").unwrap().scopes = Scopes::of(&[Scope::Read]);
        let passwords = Passwords::new();
        for _ in 0..2 {
            assert_eq!(passwords.check(&users, "alice", b"secret").await, Checked::Good(Scopes::ALL));
            assert_eq!(passwords.check(&users, "bob", b"").await, Checked::Good(Scopes::of(&[Scope::Read])));
            for (name, password) in [("alice", ""), ("alice", "Secret"), ("bob", "secret"), ("", ""), ("eve", "secret")]
            {
                assert_eq!(passwords.check(&users, name, password.as_bytes()).await, Checked::Wrong, "{name}");
            }
            assert_eq!(passwords.check(&users, "alice", &[b'x'; 2000]).await, Checked::Wrong);
        }
        assert_eq!(passwords.remembered.lock().len(), 2, "wrong ones are not remembered");
    }

    #[tokio::test]
    async fn a_hash_that_changed_is_asked_again() {
        let passwords = Passwords::new();
        let before = users(&[("alice", "old")]);
        assert!(matches!(passwords.check(&before, "alice", b"old").await, Checked::Good(_)));
        let after = users(&[("alice", "new")]);
        assert_eq!(passwords.check(&after, "alice", b"old").await, Checked::Wrong);
        assert_eq!(passwords.check(&users(&[]), "alice", b"old").await, Checked::Wrong);
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded_and_a_boundary_between_name_and_password_counts() {
        let passwords = Passwords::new();
        assert_ne!(passwords.key("ab", "h", b"c"), passwords.key("a", "h", b"bc"));
        for i in 0..3 * REMEMBERED_MAX {
            passwords.remember(passwords.key(&i.to_string(), "h", b""));
        }
        assert_eq!(passwords.remembered.lock().len(), REMEMBERED_MAX);
        assert!(passwords.is_remembered(&passwords.key(&(3 * REMEMBERED_MAX - 1).to_string(), "h", b"")));
        assert!(!passwords.is_remembered(&passwords.key("0", "h", b"")));
    }

    #[tokio::test]
    async fn too_many_at_a_time_are_told_to_come_back_and_those_remembered_are_not() {
        let passwords = Passwords::new();
        let users = users(&[("alice", "secret")]);
        assert!(matches!(passwords.check(&users, "alice", b"secret").await, Checked::Good(_)));
        let _all = passwords.places.acquire_many(WAITING_MAX as u32).await.unwrap();
        assert_eq!(passwords.check(&users, "eve", b"guess").await, Checked::Busy);
        assert!(matches!(passwords.check(&users, "alice", b"secret").await, Checked::Good(_)));
    }
}
