import EmbeddedState
import Foundation
import InfluxWindows
import Logging
import LuaScripting
import MQTTTelemetry
import NotificationChannels
import OutgoingHTTP
import RESTInterface
import RuleEngine
import RuleLanguage
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Restores the state, then runs telemetry, timers, storing, notifications and reloads until it is told to end.
struct ServerCore: Service {
    let configuration: ServerConfiguration
    let logger: Logger
    let reader: RuleReader
    let mqtt: MQTTConfiguration
    let http: HTTPClient
    let publisher: MQTTMessagePublisher
    let dataPath: String
    let store: any StateStore
    let directory: any DeviceDirectory
    let scheduler: any NotificationScheduler
    /// Nil: no InfluxDB is configured.
    let history: (any WindowHistory)?
    /// The same for scripts.
    let influx: InfluxAccess?
    /// Nil when no readings are recorded.
    let recorder: TelemetryRecorder?
    /// Nil without RabbitMQ.
    let events: EventFeed?
    let state: ServerState
    let clock: EngineClock
    let isRepairing: Bool

    private var journalFolder: String { dataPath + "/journal" }
    private var archive: RuleArchive { RuleArchive(folder: journalFolder, plugins: reader.plugins) }

    func run() async throws {
        guard let restored = try await withGracefulEnd({ try await restore() }) else { return }
        let running = try await start(restored)
        state.start(running)
        logger.notice(
            "running",
            metadata: [
                "rules": "\(running.host.look { $0.plan.catalog.rules.count })",
                "alerts": "\(restored.alerts.count { $0.state != .resolved })",
                "mqtt": "\(mqtt.address)",
            ])
        await serve(running, restored)
    }

    /// Waits for an operation, or gives nil when the server is told to end first.
    private func withGracefulEnd<Result: Sendable>(_ operation: @escaping @Sendable () async throws -> Result) async throws -> Result? {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await operation() }
            group.addTask {
                try? await gracefulShutdown()
                return nil
            }
            let first = try await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    // MARK: Starting

    struct Running: Sendable {
        var host: EngineHost
        var board: AlertBoard
        var queue: CommitQueue
        var outbox: SchedulerOutbox
        var events: EventFeed?
        var actions: ActionRunner
        var consumer: DeliveryConsumer
        var source: MQTTTelemetrySource
        var publisher: MQTTMessagePublisher
        var reloader: RuleReloader
        var devices: Directory
        var variables: Variables
        var scripts: ScriptHost
        var scriptEffects: ScriptEffects
        var routesEffects: [PipelineEffect]
        /// Subscribes whenever what scripts listen to has changed, until cancelled.
        var resubscribe: @Sendable () async -> Void
        /// Subscribes what they listen to now.
        var subscribeScripts: @Sendable () async -> Void
        var checkpoints: Checkpoints
        /// What the replayed journal decided and the store may not have.
        var decided: [AlertTransition]
        /// Inputs by which the present differs from where the engine stands.
        var differences: [EngineInput]
        var isAfterCrash: Bool
        var failedTexts: FailedTexts
    }

    /// An engine, how it came about, and where its journal goes on.
    private struct Standing {
        var engine: Engine
        var rules: String
        var position: UInt64
        var decided: [AlertTransition] = []
        var differences: [EngineInput] = []
        var alerts: [AlertRecord]
    }

    private func start(_ restored: Restored) async throws -> Running {
        try Installation.agree(restored.installation, in: dataPath)
        let (rules, rejection) = try rules(restored)
        let devices = Directory()
        let present = devices.apply(
            restored.profiles.map { DirectoryChange.profile(name: $0.name, $0) }
                + restored.devices.map { DirectoryChange.device(id: $0.id, $0) })
        var settings = EngineSettings()
        settings.bounds.maximumInstances = configuration.integer("instances.max")
        settings.bounds.forgetAfter = configuration.duration("instances.forget_after")
        settings.bounds.allowedLateness = configuration.duration("allowed_lateness")
        let recovery = Recovery(folder: journalFolder, archive: archive, isRepairing: isRepairing, logger: logger)
        let outcome = try recovery.run(settings)
        try recordMissed(outcome)
        clock.raise(to: max(restored.lastInstant, outcome.lastInstant))
        let now = clock.now()
        let rulesName = try keep(rules)
        let standing = standing(outcome, restored, rules, rulesName, present, settings, at: now)
        let journal = try journal(after: standing.position)
        var pipeline = NotificationPipeline(
            routes: rules.routes, settings: PipelineSettings(externalURL: configuration.text("external_url")))
        let effects = pipeline.restore(
            groups: restored.groups, alerts: restored.alerts, silences: restored.silences, acknowledgements: restored.acknowledgements,
            at: now)
        let queue = CommitQueue(store: store, journal: journal, logger: logger)
        let host = EngineHost(
            engine: standing.engine, rules: standing.rules, position: standing.position, pipeline: pipeline, clock: clock, queue: queue,
            journal: journal, asker: HistoryAsker(history: history, logger: logger), recorder: recorder)
        let checkpoints = Checkpoints(host: host, folder: journalFolder, archive: archive, logger: logger)
        // What a journal goes on from.
        await checkpoints.take()
        let source = MQTTTelemetrySource(mqtt, logger: logger)
        source.expectRepetitions(of: outcome.unacknowledged)
        let (http, publisher, logger, plugins) = (http, publisher, logger, reader.plugins)
        let makeChannels: @Sendable (NotificationConfiguration) -> ChannelSet = { configuration in
            ChannelSet(
                receivers: configuration.receivers, http: http, publisher: publisher,
                rendering: plugins.rendering, plugins: plugins.channel, logger: logger)
        }
        let consumer = DeliveryConsumer(host: host, channels: makeChannels(rules.notifications), logger: logger)
        let board = AlertBoard()
        board.restore(restored.alerts)
        let outbox = SchedulerOutbox(scheduler: scheduler, logger: logger)
        let subscribed = Mutex(Set(restored.subscriptions))
        let scriptFilters = Mutex<[TopicSubscription]>([])
        let variables = Variables(restored.variables, store: store)
        let scriptEffects = ScriptEffects(
            publisher: publisher, queue: queue, directory: directory, variables: variables, channels: makeChannels(rules.notifications),
            receivers: rules.notifications.receivers,
            http: ScriptHTTP(requests: HTTPRequests(HTTPClient()), hosts: configuration.automationSettings.hosts), influx: influx,
            logger: logger)
        let recorded = recorder?.subscriptions ?? []
        let subscribe: @Sendable (RuleSet) async -> Void = { [store] rules in
            let wanted = Self.joined(rules.plan.subscriptions, scriptFilters.withLock { $0 }, recorded)
            let leftovers = subscribed.withLock { Array($0) }
            let filters = Set(wanted.map(\.filter))
            // Kept before it is subscribed, so that what a persistent session holds is known to the next run.
            let all = filters.union(leftovers).sorted()
            try? await store.commit([StateWrite(.server, id: "subscriptions", ["filters": .array(all.map(Document.string))])])
            await source.subscribe(to: wanted, leftovers: leftovers)
            subscribed.withLock { $0 = filters }
        }
        let latestRules = Mutex(rules)
        let (resubscribe, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        tellLeftOver(outcome)
        let handover = try journal.map { try self.handover(outcome.leftOver.first.map { $0.position - 1 } ?? standing.position, $0) }
        let scripts = ScriptHost(
            settings: scriptSettings(), world: Self.world(devices, variables, board), clock: clock, stored: restored.scripts,
            handover: handover,
            leftOver: outcome.leftOver,
            carryOut: { effects, subscriptions in
                scriptEffects.take(effects)
                guard let subscriptions else { return }
                scriptFilters.withLock { $0 = subscriptions }
                ring.yield()
            },
            loaded: { host.keepScriptAlerts(of: $0) })
        await outbox.setReceivers(rules.notifications.receivers.map(\.name))
        let reloader = RuleReloader(
            reader: reader, current: rules, rejection: rejection, store: store, acceptedPath: dataPath + "/accepted-rules.json",
            now: { clock.now() }, logger: logger
        ) { next in
            consumer.setChannels(makeChannels(next.notifications))
            scriptEffects.setChannels(makeChannels(next.notifications), next.notifications.receivers)
            latestRules.withLock { $0 = next }
            await outbox.setReceivers(next.notifications.receivers.map(\.name))
            await host.applyDurably(.rules(next.plan, catalogue: (try? archive.keep(next)) ?? ""))
            host.withPipeline { pipeline, now in ((), pipeline.reconfigure(next.routes, at: now)) }
            await subscribe(next)
        }
        return Running(
            host: host, board: board, queue: queue, outbox: outbox, events: events,
            actions: ActionRunner(
                publisher: publisher, scripts: scripts, plugins: plugins.set, board: board, queue: queue, logger: logger),
            consumer: consumer, source: source, publisher: publisher, reloader: reloader, devices: devices, variables: variables,
            scripts: scripts, scriptEffects: scriptEffects, routesEffects: effects,
            resubscribe: { for await _ in resubscribe { await subscribe(latestRules.withLock { $0 }) } },
            subscribeScripts: { await subscribe(latestRules.withLock { $0 }) },
            checkpoints: checkpoints, decided: standing.decided, differences: standing.differences, isAfterCrash: outcome.isAfterCrash,
            failedTexts: plugins.failedTexts)
    }

    private func keep(_ rules: RuleSet) throws(StartFailure) -> String {
        do { return try archive.keep(rules) } catch {
            throw StartFailure(description: "the rules cannot be kept in '\(journalFolder)': \(error)", status: 1)
        }
    }

    private func journal(after position: UInt64) throws(StartFailure) -> InputJournal? {
        guard configuration.bool("journal.enabled") else { return nil }
        do {
            return try InputJournal(
                path: journalFolder,
                settings: .init(retain: configuration.duration("journal.retain"), maximumSize: configuration.size("journal.max_size")),
                after: position, logger: logger)
        } catch { throw StartFailure(description: "the journal cannot be used: \(error)", status: 1) }
    }

    /// The recovered engine, and by what inputs the present differs from it; without one, an engine made from what the store holds.
    private func standing(
        _ outcome: Recovery.Outcome, _ restored: Restored, _ rules: RuleSet, _ name: String,
        _ present: [(id: String, device: DeviceRecord?, effective: Document)], _ settings: EngineSettings, at now: Instant
    ) -> Standing {
        guard let engine = outcome.engine else {
            let engine = Engine(plan: rules.plan, settings: settings)
            for (id, device, effective) in present {
                engine.setDevice(
                    id, config: device.map { _ in effective }, labels: device?.labels ?? [:], location: GeoPoint(device?.location), at: now)
            }
            for (name, value) in restored.variables { engine.setVariable(name, value, at: now) }
            engine.restore(restored.alerts, at: now)
            return Standing(
                engine: engine, rules: name, position: outcome.position, decided: engine.takeEffects().transitions, alerts: restored.alerts)
        }
        var standing = Standing(
            engine: engine, rules: outcome.rules, position: outcome.position, decided: unstored(outcome.decided, restored.alerts),
            alerts: restored.alerts)
        if outcome.storeLeads {
            engine.forgetAlerts()
            engine.restore(restored.alerts, at: now)
            standing.decided = engine.takeEffects().transitions
        }
        if outcome.rules != name { standing.differences.append(.rules(rules.plan, catalogue: name)) }
        if engine.bounds != settings.bounds { standing.differences.append(.bounds(settings.bounds)) }
        standing.differences += differences(engine, present, restored.variables)
        return standing
    }

    /// Decisions that the store does not hold yet: a decision has an identity, and of an instance the store has the latest.
    private func unstored(_ decided: [AlertTransition], _ alerts: [AlertRecord]) -> [AlertTransition] {
        let stored = Dictionary(alerts.map { ($0.storageID, $0) }) { first, _ in first }
        return decided.filter { transition in
            guard let known = stored[transition.alert.storageID] else { return true }
            let alert = transition.alert
            return (known.activeAt, known.ordinal, known.transition) < (alert.activeAt, alert.ordinal, alert.transition)
        }
    }

    private func differences(
        _ engine: Engine, _ present: [(id: String, device: DeviceRecord?, effective: Document)], _ variables: [(String, Document)]
    ) -> [EngineInput] {
        var inputs: [EngineInput] = []
        var left = engine.deviceIDs
        for (id, device, effective) in present {
            left.remove(id)
            guard let device, case let location = GeoPoint(device.location),
                !engine.isUpToDate(device: id, config: effective, labels: device.labels, location: location)
            else { continue }
            inputs.append(.device(id: id, config: effective, labels: device.labels, location: location))
        }
        inputs += left.sorted().map { .device(id: $0, config: nil, labels: [:], location: nil) }
        var held = engine.variables
        for (name, value) in variables where held.removeValue(forKey: name) != value { inputs.append(.variable(name: name, value)) }
        return inputs + held.keys.sorted().map { .variable(name: $0, nil) }
    }

    private func tellLeftOver(_ outcome: Recovery.Outcome) {
        let count = outcome.leftOver.reduce(0) { $0 + $1.batch.count }
        guard outcome.inHand + count > 0, !AutomationFiles.read(rulesPath: reader.rulesPath).isEmpty else { return }
        logger.notice(
            "readings that the last run took: \(outcome.inHand) were in the hands of automations when it ended and are not given to them again, \(count) that came later are"
        )
    }

    private func scriptSettings() -> AutomationSettings {
        var settings = configuration.automationSettings
        // Chance of its own in every run of the server.
        settings.seed = UInt64.random(in: .min ... .max)
        return settings
    }

    private static func world(_ devices: Directory, _ variables: Variables, _ board: AlertBoard) -> ScriptWorld {
        ScriptWorld(
            device: { devices.device($0) }, devices: { devices.all() }, alerts: { board.matching { _ in true } },
            variable: { variables.value(of: $0) })
    }

    private func handover(_ position: UInt64, _ journal: InputJournal) throws(StartFailure) -> Handover {
        do { return try Handover(in: journalFolder, after: position, journal: journal, logger: logger) } catch {
            throw StartFailure(description: "\(error)", status: 1)
        }
    }

    /// What rules, scripts and the recorder want together, each filter once, as rules want it where they do.
    private static func joined(_ rules: [Subscription], _ scripts: [TopicSubscription], _ recorded: [Subscription]) -> [Subscription] {
        var seen = Set(rules.map(\.filter))
        let others = scripts.map { Subscription(filter: $0.filter.subscription, qos: $0.qos) } + recorded
        return rules + others.filter { seen.insert($0.filter).inserted }
    }

    /// Records what the last run had taken, and had neither written nor kept on the disk when it ended.
    private func recordMissed(_ outcome: Recovery.Outcome) throws {
        guard let recorder, configuration.bool("journal.enabled") else { return }
        // Without a position, or with one of another journal, it begins here.
        guard let journal = outcome.journal, let position = recorder.position, position <= journal.last else {
            return recorder.begin(at: outcome.position)
        }
        var count = 0
        try journal.forEach(after: position) { record in
            guard case .input(.readings(let batch)) = EngineInput.decode(record.content) else { return true }
            recorder.addWaiting(batch, at: record.instant, position: record.position)
            count += batch.count
            return true
        }
        if count > 0 { logger.notice("\(count) readings of the last run are looked through for what was not recorded yet") }
    }

    /// The rules as they are written, or, when they are broken, those that ran last.
    private func rules(_ restored: Restored) throws -> (RuleSet, rejection: String?) {
        let accepted = AcceptedRules.load(from: dataPath + "/accepted-rules.json")
        do {
            let rules = try reader.read(
                files: reader.files(known: accepted ?? []), storeGroups: restored.storeGroups, notifications: reader.notificationFile())
            if !RuleFolder(reader.rulesPath).exists {
                logger.warning("there is no folder '\(reader.rulesPath)': no rules are read from files")
            }
            for warning in rules.warnings { logger.warning("\(warning.location.file):\(warning.location.line): \(warning.message)") }
            AcceptedRules.save(rules.files, to: dataPath + "/accepted-rules.json")
            return (rules, nil)
        } catch {
            let first = error.diagnostics.first { $0.severity == .error }
            let reason = first.map { "\($0.location.file):\($0.location.line): \($0.message)" } ?? "the rules cannot be read"
            if let files = accepted,
                let rules = try? reader.read(files: files, storeGroups: restored.storeGroups, notifications: reader.notificationFile())
            {
                logger.error("the rules have mistakes; the last ones that were accepted run instead\n\(error.text)")
                return (rules, reason)
            }
            throw StartFailure(description: "the rules have mistakes\n\(error.text)", status: 1)
        }
    }

    // MARK: Running

    private func serve(_ running: Running, _ restored: Restored) async {
        let host = running.host
        running.queue.add(CommitWork(effects: running.routesEffects))
        host.settle(running.decided, stored: restored.alerts)
        host.apply(.start)
        for difference in running.differences { host.apply(difference) }
        host.asker.add(host.look { $0.unansweredQueries })
        for alert in restored.alerts where !alert.pendingActions.isEmpty { running.actions.run(alert) }
        let timers = Thread { host.runTimers() }
        timers.name = "engine-timers"
        timers.start()
        await withTaskGroup(of: Void.self) { inputs in
            let committing = Task {
                await running.queue.run { group in
                    for work in group { running.board.apply(work.transitions) }
                    events?.add(group.flatMap(\.transitions))
                    await running.outbox.add(group.flatMap(\.messages))
                    for transition in group.flatMap(\.transitions) {
                        log(transition)
                        running.scripts.add(.transition(transition))
                        if !transition.alert.pendingActions.isEmpty { running.actions.run(transition.alert) }
                    }
                }
            }
            let outgoing = Task { await running.outbox.run() }
            let telling = Task { await events?.run() }
            let publishing = Task { await running.publisher.run() }
            let consuming = Task { await scheduler.run(running.consumer) }
            inputs.addTask { await host.asker.run(host) }
            let automating = Task {
                await running.scriptEffects.run(
                    host: host, follow: { Self.apply($0, running) }, answer: { running.scripts.add(.answer(request: $0, $1)) })
            }
            running.scripts.load(
                AutomationFiles.read(rulesPath: reader.rulesPath), reason: running.isAfterCrash ? "recovery" : "start",
                position: host.position)
            running.scripts.start()
            // The first subscription is one for rules and scripts: what the session has kept for either must not be given up.
            await running.scripts.waitUntilLoaded()
            await running.subscribeScripts()
            // Behind the scripts, which actions may call.
            let acting = Task { await running.actions.runAll() }
            inputs.addTask { await running.resubscribe() }
            inputs.addTask { await running.source.run(ReadingFork(host: host, scripts: running.scripts)) }
            inputs.addTask { await followDirectory(running) }
            inputs.addTask { await forgetResolved(running) }
            inputs.addTask { await watchStore() }
            inputs.addTask { await watchDecoders(running) }
            inputs.addTask { await watchFiles(running) }
            inputs.addTask { await reloadOnHangup(running) }
            inputs.addTask { await running.checkpoints.run() }
            inputs.addTask { await followWallClock(host) }
            // Returns when the server is told to end, or is cancelled.
            try? await gracefulShutdown()
            logger.notice("ending: telemetry first, then what is under way is stored")
            inputs.cancelAll()
            await inputs.waitForAll()
            host.stopTimers()
            // The engine stands: the next start replays nothing. First, for what follows may have to be broken off.
            await running.checkpoints.take()
            // Before the scripts, which they may call; what is left is carried out at the next start.
            running.actions.close()
            await finished(acting, within: .seconds(1))
            await stopScripts(running, automating)
            consuming.cancel()
            await consuming.value
            await running.queue.flushed()
            running.queue.close()
            await committing.value
            running.outbox.close()
            events?.close()
            await outgoing.value
            await telling.value
            publishing.cancel()
            await publishing.value
            await stopRecorder()
            host.journal?.close()
        }
    }
}
