import EmbeddedState
import Foundation
import InfluxWindows
import LuaScripting
import MQTTTelemetry
import RESTInterface
import RuleEngine
import RuleLanguage
import Synchronization

/// What the HTTP interface sees of the server: health from the first moment, everything else once it runs.
final class ServerState: ServerOperations {
    private let running = Mutex<ServerCore.Running?>(nil)
    private let store: any StateStore
    private let directory: any DeviceDirectory
    private let scheduler: any NotificationScheduler
    private let history: (any WindowHistory)?
    private let recorder: TelemetryRecorder?
    private let clock: EngineClock

    init(
        store: any StateStore, directory: any DeviceDirectory, scheduler: any NotificationScheduler, history: (any WindowHistory)?,
        recorder: TelemetryRecorder?, clock: EngineClock
    ) {
        self.store = store
        self.directory = directory
        self.scheduler = scheduler
        self.history = history
        self.recorder = recorder
        self.clock = clock
    }

    func start(_ server: ServerCore.Running) { running.withLock { $0 = server } }

    private var server: ServerCore.Running? { running.withLock { $0 } }

    private func serverOrStarting() throws(StoreFailure) -> ServerCore.Running {
        guard let server else { throw .unavailable("the server is starting") }
        return server
    }

    // MARK: Rules

    func rules() async -> [RuleStatus] {
        guard let server else { return [] }
        let plan = server.host.look { $0.plan }
        return plan.catalog.groups.flatMap { group in group.rules.map { status($0, group, server) } }
    }

    func rule(group: String, name: String) async -> RuleStatus? {
        guard let server else { return nil }
        let plan = server.host.look { $0.plan }
        guard let found = plan.catalog.groups.first(where: { $0.name == group }),
            let rule = found.rules.first(where: { $0.identity.alert == name })
        else { return nil }
        return status(rule, found, server)
    }

    private func status(_ rule: Rule, _ group: RuleGroup, _ server: ServerCore.Running) -> RuleStatus {
        let now = server.host.look { $0.status(of: rule.identity) } ?? RuleActivity.unknown
        let file: String? = if case .file(let name) = group.origin { name } else { nil }
        return RuleStatus(
            group: group.name, name: rule.identity.alert, file: file, line: rule.location.line, isEnabled: rule.isEnabled,
            mode: rule.mode.rawValue, health: RuleStatus.Health(rawValue: now.health.rawValue) ?? .unknown, lastError: now.lastError,
            lastEvaluationAt: now.lastEvaluationAt, evaluations: Int64(clamping: now.evaluations), instances: now.instances,
            source: rule.yaml)
    }

    func groups() async -> [GroupText] {
        guard let server else { return [] }
        return server.host.look { $0.plan }.catalog.groups.map { group in
            let file: String? = if case .file(let name) = group.origin { name } else { nil }
            return GroupText(name: group.name, yaml: group.yaml, file: file)
        }
    }

    func group(named name: String) async -> GroupText? { await groups().first { $0.name == name } }

    func putGroup(named name: String, yaml: [UInt8], isDryRun: Bool) async throws(StoreFailure) -> GroupPutOutcome {
        let server = try serverOrStarting()
        if let file = await group(named: name)?.file { return .readOnly(file: file) }
        switch try await server.reloader.putGroup(name, yaml: yaml, isDryRun: isDryRun) {
        case .success((.created, let warnings)): return .created(warnings: warnings)
        case .success((.replaced, let warnings)): return .replaced(warnings: warnings)
        case .success((.checked, let warnings)): return .checked(warnings: warnings)
        case .failure(let rejection): return .invalid(rejection.diagnostics)
        }
    }

    func removeGroup(named name: String) async throws(StoreFailure) -> GroupRemovalOutcome {
        let server = try serverOrStarting()
        if let file = await group(named: name)?.file { return .readOnly(file: file) }
        switch try await server.reloader.removeGroup(name) {
        case .success(true): return .removed
        case .success(false): return .absent
        case .failure(let rejection): return .invalid(rejection.diagnostics)
        }
    }

    func reload() async throws(StoreFailure) -> ReloadOutcome {
        switch await (try serverOrStarting()).reloader.reload(cause: "HTTP") {
        case .success(let changed): return .reloaded(changed: changed)
        case .failure(let rejection): return .invalid(rejection.diagnostics)
        }
    }

    // MARK: Automations

    func automations() async -> [AutomationStatus] {
        (server?.scripts.statuses ?? []).map { status in
            let fault = status.lastFault.map { $0.file.isEmpty ? $0.message : "\($0.file):\($0.line): \($0.message)" }
            return AutomationStatus(
                name: status.name, file: status.file, description: status.description, state: status.state, lastError: fault,
                faults: status.faults, disabledUntil: status.disabledUntil,
                runs: status.runs, waiting: status.waiting, memory: status.memory)
        }
    }

    // MARK: Alerts

    func alerts(matching filter: AlertFilter) async -> [AlertRecord] { server?.board.matching(filter.matches) ?? [] }

    // MARK: Silences and acknowledgements

    func hushes() async -> AlertHushes {
        server?.host.withPipeline { pipeline, now in (pipeline.hushes(at: now), []) }
            ?? AlertHushes(compile: { _ in nil }, at: clock.now())
    }

    func put(_ silence: Silence) async throws(StoreFailure) -> Result<Silence, SilenceMistake> {
        var silence = silence
        if silence.id.isEmpty { silence.id = UUID().uuidString.lowercased() }
        let named = silence
        let mistake = try await serverOrStarting().host.withPipelineStored { pipeline, now in pipeline.silence(named, at: now) }
        return mistake.map { .failure($0) } ?? .success(named)
    }

    func expireSilence(id: String) async throws(StoreFailure) -> Bool {
        try await serverOrStarting().host.withPipelineStored { pipeline, now in pipeline.expireSilence(id, at: now) } != nil
    }

    func acknowledge(alert id: String, by: String, comment: String, until: Instant?) async throws(StoreFailure)
        -> Result<Acknowledgement, AcknowledgementMistake>
    {
        try await serverOrStarting().host.withPipelineStored { pipeline, now in
            pipeline.acknowledge(alert: id, by: by, comment: comment, until: until, at: now)
        }
    }

    func unacknowledge(alert id: String) async throws(StoreFailure) -> Bool {
        try await serverOrStarting().host.withPipelineStored { pipeline, now in pipeline.unacknowledge(alert: id, at: now) }
    }

    // MARK: Devices, profiles, variables

    func devices() async throws(StoreFailure) -> [DeviceRecord] { try await directory.snapshot().devices }
    func device(id: String) async throws(StoreFailure) -> DeviceRecord? { try await directory.snapshot().devices.first { $0.id == id } }
    func put(_ device: DeviceRecord) async throws(StoreFailure) {
        try await directory.put(device)
        await follow([.device(id: device.id, device)])
    }
    func removeDevice(id: String) async throws(StoreFailure) {
        try await directory.removeDevice(id: id)
        await follow([.device(id: id, nil)])
    }
    func profiles() async throws(StoreFailure) -> [ProfileRecord] { try await directory.snapshot().profiles }
    func profile(named name: String) async throws(StoreFailure) -> ProfileRecord? { try await profiles().first { $0.name == name } }
    func put(_ profile: ProfileRecord) async throws(StoreFailure) {
        try await directory.put(profile)
        await follow([.profile(name: profile.name, profile)])
    }
    func removeProfile(named name: String) async throws(StoreFailure) {
        try await directory.removeProfile(name: name)
        await follow([.profile(name: name, nil)])
    }

    /// What was written here reaches the rules at once, not only with the directory's own feed.
    private func follow(_ changes: [DirectoryChange]) async {
        guard let server else { return }
        if let position = ServerCore.apply(changes, server) { await server.host.journal?.durable(position) }
    }

    func variables() async throws(StoreFailure) -> [RuleVariable] {
        try await store.documents(in: .variables).map { RuleVariable(name: $0.id, value: $0.document["value"] ?? .null) }
    }

    func variable(named name: String) async throws(StoreFailure) -> RuleVariable? { try await variables().first { $0.name == name } }

    func put(_ variable: RuleVariable) async throws(StoreFailure) -> WriteOutcome {
        let server = try serverOrStarting()
        let isNew = try await self.variable(named: variable.name) == nil
        try await server.variables.set(variable.name, to: variable.value, server.host)
        return isNew ? .created : .replaced
    }

    func removeVariable(named name: String) async throws(StoreFailure) -> Bool {
        let server = try serverOrStarting()
        guard try await variable(named: name) != nil else { return false }
        try await server.variables.set(name, to: nil, server.host)
        return true
    }

    // MARK: Health

    func readiness() async -> [PartReadiness] {
        let starting = "the server is starting"
        async let storeReason = store.unreadyReason()
        async let schedulerReason = scheduler.unreadyReason()
        guard let server else {
            return [
                PartReadiness("mqtt", unreadyReason: starting), PartReadiness("store", unreadyReason: await storeReason),
                PartReadiness("scheduler", unreadyReason: await schedulerReason), PartReadiness("rules", unreadyReason: starting),
            ]
        }
        let rejection = await server.reloader.rejection
        let influx = await influxReadiness(server)
        let refused = rejection.map { "the rules as they are now were refused, the last accepted ones run: \($0)" }
        return [
            PartReadiness("mqtt", unreadyReason: await server.source.unreadyReason()),
            PartReadiness("store", unreadyReason: await storeReason),
            PartReadiness("scheduler", unreadyReason: await schedulerReason),
            PartReadiness("journal", unreadyReason: server.host.journal?.unreadyReason),
            // The server does its work with the rules it has.
            PartReadiness("rules", unreadyReason: refused, isRequired: false),
        ] + influx
            // What is not recorded now is kept and recorded later.
            + (recorder.map { [PartReadiness("recorder", unreadyReason: $0.unreadyReason, isRequired: false)] } ?? [])
    }

    /// The server goes on without InfluxDB: its rules keep their state.
    private func influxReadiness(_ server: ServerCore.Running) async -> [PartReadiness] {
        if let history { return [PartReadiness("influxdb", unreadyReason: await history.unreadyReason(), isRequired: false)] }
        guard server.host.look({ $0.plan.wantsHistory }) else { return [] }
        return [PartReadiness("influxdb", unreadyReason: "there are rules with 'influx', and 'influxdb.url' is not set", isRequired: false)]
    }

    func metrics() async -> String { await ServerMetrics.text(server) }
}

extension ServerCore {
    /// Position of the last of them in the journal.
    @discardableResult
    static func apply(_ changes: [DirectoryChange], _ running: Running) -> UInt64? {
        var last: UInt64?
        for (id, device, effective) in running.devices.apply(changes) {
            last = running.host.apply(
                .device(
                    id: id, config: device.map { _ in effective }, labels: device?.labels ?? [:], location: GeoPoint(device?.location)))
        }
        return last
    }
}
