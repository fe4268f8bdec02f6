//! The filters that operators have saved.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::filters::{ALL_TRAFFIC, Edit, Filter, FilterId, MAX_FILTERS, NotDone};
use crate::store::{Store, StoreError};
use crate::time::UnixMs;

/// All of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Saved {
    pub(super) filters: Arc<Vec<Filter>>,
    /// What the next one is called.
    next: FilterId,
}

// === impl Saved ===

impl Default for Saved {
    fn default() -> Self {
        Self { filters: Arc::default(), next: FilterId(ALL_TRAFFIC.0.0 + 1) }
    }
}

impl Saved {
    /// As the store has them.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(super) fn read(store: &mut dyn Store) -> Result<Self, StoreError> {
        let (filters, next) = store.filters()?;
        Ok(Self { filters: Arc::new(filters), next })
    }

    /// Adds or removes some at `now`, and says in `changes` what is to be written; gives those that it is about.
    ///
    /// # Errors
    /// See [`NotDone`]; nothing has changed then.
    pub(super) fn edit(
        &mut self,
        edit: Edit,
        now: UnixMs,
        changes: &mut BTreeMap<FilterId, Option<Filter>>,
    ) -> Result<Vec<Filter>, NotDone> {
        let mut filters = (*self.filters).clone();
        let changed = match edit {
            Edit::Add(wanted) => {
                let mut added = Vec::new();
                for (wanted, id) in wanted.into_iter().zip(self.next.0..) {
                    let is_taken = |filter: &Filter| filter.wanted.name == wanted.name;
                    if wanted.name == ALL_TRAFFIC.1 || filters.iter().any(is_taken) {
                        return Err(NotDone::Taken(wanted.name));
                    }
                    if filters.len() >= MAX_FILTERS {
                        return Err(NotDone::Full);
                    }
                    let filter = Filter { id: FilterId(id), made: now, wanted };
                    filters.push(filter.clone());
                    added.push(filter);
                }
                changes.extend(added.iter().map(|filter| (filter.id, Some(filter.clone()))));
                self.next.0 += u32::try_from(added.len()).unwrap_or(u32::MAX);
                added
            }
            Edit::Remove(id) => {
                let place = filters.iter().position(|filter| filter.id == id);
                let removed = filters.remove(place.ok_or(NotDone::Unknown(id.0))?);
                changes.insert(id, None);
                vec![removed]
            }
        };
        self.filters = Arc::new(filters);
        Ok(changed)
    }
}
