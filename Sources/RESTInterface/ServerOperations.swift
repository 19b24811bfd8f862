public import RuleEngine

/// What the HTTP interface asks of the server. The executable implements it over the engine, the rule reloader, the state store and the device directory.
///
/// Contract
/// * Lists may come in any order and are whole: the interface sorts, pages and limits them.
/// * Names and ids arrive decoded: not empty, at most 512 bytes, without control characters. They may hold `/`, spaces and any other character.
/// * `StoreFailure.unavailable` becomes 503 with its text, `.refused` 500 with its text; both texts go to whoever asked, so they hold no secrets.
/// * When a method that writes returns, the write is durable and running rules see it within 2 s.
/// * Methods may be called from any number of requests at once. The interface itself lets the writes of devices and profiles come one after the
///   other, so that reading, patching and putting a device is one step among the requests of this process.
/// * Nothing here may block a thread of the cooperative pool, and everything answers within seconds: a request waits for it.
public protocol ServerOperations: Sendable {
    // MARK: Rules

    /// Every rule of the running catalogue.
    func rules() async -> [RuleStatus]
    /// One rule of the running catalogue; nil when there is none of that name.
    func rule(group: String, name: String) async -> RuleStatus?

    /// Every group of the running catalogue, from files and from the store.
    func groups() async -> [GroupText]
    func group(named name: String) async -> GroupText?
    /// Checks the text as one entry of `groups:` (the same checks as for files, against everything else that runs) and, unless `isDryRun`, stores it and lets it
    /// run. `yaml` is what the client sent, at most 4 MiB, not checked in any way. A text that says another `name` than `name` is invalid; positions in
    /// diagnostics count from the text's first line.
    func putGroup(named name: String, yaml: [UInt8], isDryRun: Bool) async throws(StoreFailure) -> GroupPutOutcome
    func removeGroup(named name: String) async throws(StoreFailure) -> GroupRemovalOutcome

    /// Reads the rule files again, as SIGHUP does: all or nothing.
    func reload() async throws(StoreFailure) -> ReloadOutcome

    // MARK: Automations

    /// Every automation, by its file's name.
    func automations() async -> [AutomationStatus]

    // MARK: Alerts

    /// Alerts that are not inactive, and resolved ones that are still kept, as far as `filter.matches` them. Implementations apply the filter where
    /// the alerts are, so that a question for few of many does not copy all.
    func alerts(matching filter: AlertFilter) async -> [AlertRecord]

    // MARK: Silences and acknowledgements

    /// What keeps alerts from being told, now.
    func hushes() async -> AlertHushes
    /// Makes a silence, or puts another in its place; one without an id (an empty text) gets one here.
    func put(_ silence: Silence) async throws(StoreFailure) -> Result<Silence, SilenceMistake>
    /// Ends a silence, which stays readable for some days; false when there is none of this id.
    func expireSilence(id: String) async throws(StoreFailure) -> Bool
    /// - Parameter until: nil: until the alert is over.
    func acknowledge(alert id: String, by: String, comment: String, until: Instant?) async throws(StoreFailure)
        -> Result<Acknowledgement, AcknowledgementMistake>
    /// Takes an acknowledgement back; false when there is none.
    func unacknowledge(alert id: String) async throws(StoreFailure) -> Bool

    // MARK: Devices, profiles, variables

    func devices() async throws(StoreFailure) -> [DeviceRecord]
    func device(id: String) async throws(StoreFailure) -> DeviceRecord?
    func put(_ device: DeviceRecord) async throws(StoreFailure)
    func removeDevice(id: String) async throws(StoreFailure)

    func profiles() async throws(StoreFailure) -> [ProfileRecord]
    func profile(named name: String) async throws(StoreFailure) -> ProfileRecord?
    func put(_ profile: ProfileRecord) async throws(StoreFailure)
    func removeProfile(named name: String) async throws(StoreFailure)

    func variables() async throws(StoreFailure) -> [RuleVariable]
    func variable(named name: String) async throws(StoreFailure) -> RuleVariable?
    /// Whether there was none of that name before.
    func put(_ variable: RuleVariable) async throws(StoreFailure) -> WriteOutcome
    /// Whether there was one of that name.
    func removeVariable(named name: String) async throws(StoreFailure) -> Bool

    // MARK: Health

    /// Every part of the server that can be away, in the order they are shown; never empty once the server runs. Answers at once, from what is known.
    func readiness() async -> [PartReadiness]
    /// The metrics in Prometheus' text format 0.0.4 (`PrometheusText`).
    func metrics() async -> String
}
