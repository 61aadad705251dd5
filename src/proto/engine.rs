//! One endpoint's control.
/// One endpoint's control.
pub(crate) struct Engine;
/// Its settings.
pub(crate) struct EngineSettings;
