//! What DynamoDB checks of a filter itself.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use livehooks_aws::store::sortable;
use livehooks_signing::PROVIDERS;

use super::Filter;

/// A part of a filter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The provider and the start of the id, which are in the item's key.
    Key,
    Type,
    Room,
    Times,
    /// Not in the index `by_time`.
    Unindexed,
}

/// A filter expression.
#[derive(Default)]
pub(super) struct Condition {
    terms: Vec<String>,
    names: Vec<(&'static str, &'static str)>,
    values: Vec<(String, AttributeValue)>,
}

impl Condition {
    pub(super) fn of(filter: &Filter, parts: &[Part]) -> Self {
        let mut condition = Self::default();
        for part in parts {
            match part {
                Part::Key => condition.key(filter),
                Part::Type => condition.kind(filter),
                Part::Room => condition.room(filter),
                Part::Times => condition.times(filter),
                Part::Unindexed => condition.terms.push("attribute_not_exists(time_shard)".into()),
            }
        }
        condition
    }

    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    fn key(&mut self, filter: &Filter) {
        if filter.provider.is_none() && filter.id.is_none() {
            return;
        }
        let part = filter.id_part().unwrap_or_default();
        let is_wanted = |name: &&str| filter.provider.as_deref().is_none_or(|wanted| wanted == *name);
        let keys = PROVIDERS.iter().map(|provider| provider.name).filter(is_wanted);
        let keys: Vec<String> = keys.map(|name| format!("{name}#{part}")).collect();
        let names = self.several("key", keys);
        let terms: Vec<String> = names.iter().map(|name| format!("begins_with(event_key, {name})")).collect();
        self.terms.push(format!("({})", terms.join(" OR ")));
    }

    fn kind(&mut self, filter: &Filter) {
        let Some(pattern) = &filter.r#type else { return };
        let (start, is_exact) = match pattern.split_once('*') {
            Some((start, _)) => (start, false),
            None => (pattern.as_str(), true),
        };
        if start.is_empty() {
            return;
        }
        self.names.push(("#type", "type"));
        self.values.push((":type".into(), AttributeValue::S(start.into())));
        self.terms.push(if is_exact { "#type = :type".into() } else { "begins_with(#type, :type)".into() });
    }

    fn room(&mut self, filter: &Filter) {
        let Some(keys) = filter.room_keys() else { return };
        let names = self.several("room", keys);
        self.terms.push(format!("room_key IN ({})", names.join(", ")));
    }

    fn times(&mut self, filter: &Filter) {
        for (name, operator, time) in [(":since", ">=", filter.since), (":until", "<", filter.until)] {
            if let Some(time) = time {
                self.values.push((name.into(), AttributeValue::S(sortable(time))));
                self.terms.push(format!("received_at {operator} {name}"));
            }
        }
    }

    /// Adds values `:name0`, `:name1` and so on, and returns these names.
    fn several(&mut self, name: &str, values: Vec<String>) -> Vec<String> {
        let named = values.into_iter().enumerate().map(|(index, value)| (format!(":{name}{index}"), value));
        let named: Vec<(String, String)> = named.collect();
        let names = named.iter().map(|(name, _)| name.clone()).collect();
        self.values.extend(named.into_iter().map(|(name, value)| (name, AttributeValue::S(value))));
        names
    }
}

macro_rules! add_to {
    ($name:ident, $request:ty) => {
        /// Adds the condition to a request.
        pub(super) fn $name(&self, request: $request) -> $request {
            if self.terms.is_empty() {
                return request;
            }
            let request = request.filter_expression(self.terms.join(" AND "));
            let request = self
                .names
                .iter()
                .fold(request, |to, (name, attribute)| to.expression_attribute_names(*name, *attribute));
            self.values.iter().fold(request, |to, (name, value)| {
                to.expression_attribute_values(name.clone(), value.clone())
            })
        }
    };
}

impl Condition {
    add_to!(on_query, QueryFluentBuilder);
    add_to!(on_scan, ScanFluentBuilder);
}
