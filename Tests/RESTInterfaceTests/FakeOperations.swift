import RESTInterface
import RuleEngine

/// A server in memory behind the interface: it keeps what it is given, and can be told to fail.
actor FakeOperations: ServerOperations {
    var ruleStatuses: [RuleStatus] = []
    var groupTexts: [String: GroupText] = [:]
    var alertRecords: [AlertRecord] = []
    var deviceRecords: [String: DeviceRecord] = [:]
    var profileRecords: [String: ProfileRecord] = [:]
    var values: [String: RuleVariable] = [:]
    var parts: [PartReadiness] = [PartReadiness("rules")]
    /// What reading the rules again finds; errors refuse it.
    var reloadOutcome = ReloadOutcome.reloaded(changed: [])
    var warnings: [Diagnostic] = []
    var failure: StoreFailure?
    /// Names of the groups whose text was only checked.
    private(set) var checkedGroups: [String] = []
    private(set) var reloads = 0
    /// Runs while a reload is under way.
    var duringReload: @Sendable () async -> Void = {}

    init(_ prepare: @Sendable (isolated FakeOperations) -> Void = { _ in }) async { prepare(self) }

    func change(_ body: @Sendable (isolated FakeOperations) -> Void) { body(self) }

    private func reachStore() async throws(StoreFailure) {
        await Task.yield()
        if let failure { throw failure }
    }

    func rules() -> [RuleStatus] { ruleStatuses }
    func rule(group: String, name: String) -> RuleStatus? { ruleStatuses.first { $0.group == group && $0.name == name } }
    func automations() -> [AutomationStatus] {
        [AutomationStatus(name: "vent", file: "rules/automations/vent.lua", state: "running", runs: 3, waiting: 1, memory: 20_000)]
    }
    func groups() -> [GroupText] { Array(groupTexts.values) }
    func group(named name: String) -> GroupText? { groupTexts[name] }

    /// A text with `bad` in it has an error where that stands.
    func putGroup(named name: String, yaml: [UInt8], isDryRun: Bool) async throws(StoreFailure) -> GroupPutOutcome {
        if let file = groupTexts[name]?.file { return .readOnly(file: file) }
        let text = String(decoding: yaml, as: UTF8.self)
        let mistakes = text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().filter { $0.element.contains("bad") }
        if !mistakes.isEmpty {
            return .invalid(
                mistakes.reversed().map { .init(code: "bad-line", "no 'bad' here", at: .init(file: name, line: $0.offset + 1, column: 1)) })
        }
        if isDryRun {
            checkedGroups.append(name)
            return .checked(warnings: warnings)
        }
        try await reachStore()
        let isNew = groupTexts.updateValue(GroupText(name: name, yaml: text, file: nil), forKey: name) == nil
        return isNew ? .created(warnings: warnings) : .replaced(warnings: warnings)
    }

    func removeGroup(named name: String) async throws(StoreFailure) -> GroupRemovalOutcome {
        try await reachStore()
        guard let group = groupTexts[name] else { return .absent }
        if let file = group.file { return .readOnly(file: file) }
        groupTexts[name] = nil
        return .removed
    }

    func reload() async throws(StoreFailure) -> ReloadOutcome {
        reloads += 1
        await duringReload()
        return reloadOutcome
    }

    func alerts(matching filter: AlertFilter) -> [AlertRecord] { alertRecords.filter(filter.matches) }

    /// Silences and acknowledgements are kept by a real pipeline, in which every alert of `alertRecords` fires that says so.
    private var pipeline: NotificationPipeline = {
        let configuration = NotificationConfiguration(route: Route(receiver: "hook"), receivers: [Receiver(name: "hook", channels: [])])
        guard let routes = try? RouteTree(configuration, compile: { $0.contains("(") ? nil : Everything() }) else {
            fatalError("no routes")
        }
        return NotificationPipeline(routes: routes)
    }()
    private struct Everything: RegexMatching { func matchesWhole(_ text: String) -> Bool { true } }
    var now = Instant(milliseconds: 1_700_000_000_000)

    func hushes() -> AlertHushes { pipeline.hushes(at: now) }
    func put(_ silence: Silence) async throws(StoreFailure) -> Result<Silence, SilenceMistake> {
        try await reachStore()
        var silence = silence
        if silence.id.isEmpty { silence.id = "silence-\(pipeline.hushes(at: now).silences.all.count + 1)" }
        return pipeline.silence(silence, at: now).mistake.map { .failure($0) } ?? .success(silence)
    }
    func expireSilence(id: String) async throws(StoreFailure) -> Bool {
        try await reachStore()
        return pipeline.expireSilence(id, at: now).silence != nil
    }
    func acknowledge(alert id: String, by: String, comment: String, until: Instant?) async throws(StoreFailure)
        -> Result<Acknowledgement, AcknowledgementMistake>
    {
        try await reachStore()
        for alert in alertRecords { _ = pipeline.take(AlertTransition(from: .inactive, alert: alert), at: now) }
        return pipeline.acknowledge(alert: id, by: by, comment: comment, until: until, at: now).result
    }
    func unacknowledge(alert id: String) async throws(StoreFailure) -> Bool {
        try await reachStore()
        return pipeline.unacknowledge(alert: id, at: now).wasThere
    }

    func devices() async throws(StoreFailure) -> [DeviceRecord] {
        try await reachStore()
        return Array(deviceRecords.values)
    }
    func device(id: String) async throws(StoreFailure) -> DeviceRecord? {
        try await reachStore()
        return deviceRecords[id]
    }
    func put(_ device: DeviceRecord) async throws(StoreFailure) {
        try await reachStore()
        deviceRecords[device.id] = device
    }
    func removeDevice(id: String) async throws(StoreFailure) {
        try await reachStore()
        deviceRecords[id] = nil
    }

    func profiles() async throws(StoreFailure) -> [ProfileRecord] {
        try await reachStore()
        return Array(profileRecords.values)
    }
    func profile(named name: String) async throws(StoreFailure) -> ProfileRecord? {
        try await reachStore()
        return profileRecords[name]
    }
    func put(_ profile: ProfileRecord) async throws(StoreFailure) {
        try await reachStore()
        profileRecords[profile.name] = profile
    }
    func removeProfile(named name: String) async throws(StoreFailure) {
        try await reachStore()
        profileRecords[name] = nil
    }

    func variables() async throws(StoreFailure) -> [RuleVariable] {
        try await reachStore()
        return Array(values.values)
    }
    func variable(named name: String) async throws(StoreFailure) -> RuleVariable? {
        try await reachStore()
        return values[name]
    }
    func put(_ variable: RuleVariable) async throws(StoreFailure) -> WriteOutcome {
        try await reachStore()
        return values.updateValue(variable, forKey: variable.name) == nil ? .created : .replaced
    }
    func removeVariable(named name: String) async throws(StoreFailure) -> Bool {
        try await reachStore()
        return values.removeValue(forKey: name) != nil
    }

    func readiness() -> [PartReadiness] { parts }
    func metrics() -> String { "nodesphere_readings_total 12\n" }
}
