//! Hostile variants of every authentic delivery, as an attacker, a broken proxy or a wrong clock would make them.

use http::HeaderValue;
use libtest_mimic::Failed;
use livehooks_core::Delivery;
use livehooks_signing::{Attack, Signer};

use crate::fixture::Fixture;
use crate::verify;

/// Checks the rejection of every hostile variant.
pub fn attack_all<P: Signer>(fixture: &Fixture) -> Result<(), Failed> {
    let mut credentials = P::credential_headers(&fixture.keys);
    credentials.retain(|name| fixture.headers.contains_key(name));
    assert!(!credentials.is_empty(), "the fixture has no credential to attack");

    rejected::<P>("header missing", Attack::CredentialMissing, fixture, |hostile| {
        credentials.iter().for_each(|name| drop(hostile.headers.remove(name)));
    })?;
    rejected::<P>("credential truncated", Attack::CredentialTruncated, fixture, |hostile| {
        credentials.iter().for_each(|name| {
            let value = hostile.headers.get_mut(name).unwrap();
            *value = HeaderValue::from_bytes(&value.as_bytes()[..value.len() - 4]).unwrap();
        });
    })?;
    rejected::<P>("header doubled", Attack::CredentialDoubled, fixture, |hostile| {
        credentials.iter().for_each(|name| {
            let value = hostile.headers[name].clone();
            hostile.headers.append(name.parse::<http::HeaderName>().unwrap(), value);
        });
    })?;
    rejected::<P>("other key", Attack::OtherKey, fixture, |hostile| {
        hostile.keys = P::other_keys(&hostile.keys);
    })?;
    rejected::<P>("one byte of the body changed", Attack::BodyAltered, fixture, |hostile| {
        match hostile.body.last_mut() {
            Some(last) => *last ^= 1,
            None => hostile.body.push(b' '),
        }
    })?;
    rejected::<P>("not UTF-8", Attack::BodyAltered, fixture, |hostile| hostile.body.push(0xff))?;
    if !fixture.body.is_empty() {
        rejected::<P>("body empty", Attack::BodyAltered, fixture, |hostile| hostile.body.clear())?;
    }
    let clock_off = P::LIFETIME.clock_off();
    rejected::<P>("late", Attack::Late, fixture, |hostile| hostile.now += clock_off)?;
    rejected::<P>("early", Attack::Early, fixture, |hostile| hostile.now -= clock_off)?;
    Ok(())
}

fn rejected<P: Signer>(
    what: &str,
    attack: Attack,
    fixture: &Fixture,
    alter: impl FnOnce(&mut Fixture),
) -> Result<(), Failed> {
    let assurance = verify::<P>(fixture).unwrap().assurance();
    let mut hostile = fixture.clone();
    alter(&mut hostile);
    let authentic_headers = Delivery { body: &hostile.body, ..fixture.delivery() };
    let expected = P::rejection(attack, &authentic_headers, assurance);
    let found = verify::<P>(&hostile).err().map(|rejection| rejection.code());
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: expected {expected:?}, found {found:?}").into()),
    }
}
