import Logging
import RuleEngine
import Synchronization

/// Carries out what rules want done at transitions, after the transition is stored.
///
/// Messages and functions of automations in the order of the transitions; an action of a plugin may take its time and runs beside them, those of
/// one alert one after the other. A message is sent again after a crash, with the same id. A call is recorded before it begins, and never begins again.
final class ActionRunner: Sendable {
    private let publisher: any MessagePublisher
    private let scripts: ScriptHost
    private let plugins: PluginSet
    private let board: AlertBoard
    private let queue: CommitQueue
    private let logger: Logger
    /// With messages and functions of automations.
    private let alerts: AsyncStream<AlertRecord>
    private let submit: AsyncStream<AlertRecord>.Continuation
    /// With actions of plugins, which do not wait for the broker.
    private let pluginAlerts: AsyncStream<AlertRecord>
    private let submitPlugins: AsyncStream<AlertRecord>.Continuation
    /// Calls of plugins that wait or run, by alert.
    private let lanes = Mutex<[String: [Call]]>([:])
    private let tally = Mutex<[Outcome: Int]>([:])

    private struct Call: Sendable {
        var request: CallRequest
        var alert: AlertRecord
    }
    struct Outcome: Hashable {
        enum Kind: String { case publish, script, plugin }
        enum Result: String {
            /// Of a script: handed over.
            case done
            case failed
            /// Begun before a crash: nobody knows how far it came.
            case lost
        }
        var kind: Kind
        var result: Result
    }

    /// Alerts whose actions may wait; the oldest are dropped from here beyond it, but stay stored and are carried out at the next start.
    private static let bound = 10_000

    init(
        publisher: any MessagePublisher, scripts: ScriptHost, plugins: PluginSet, board: AlertBoard, queue: CommitQueue, logger: Logger
    ) {
        self.publisher = publisher
        self.scripts = scripts
        self.plugins = plugins
        self.board = board
        self.queue = queue
        self.logger = logger
        (alerts, submit) = AsyncStream.makeStream(of: AlertRecord.self, bufferingPolicy: .bufferingOldest(Self.bound))
        (pluginAlerts, submitPlugins) = AsyncStream.makeStream(of: AlertRecord.self, bufferingPolicy: .bufferingOldest(Self.bound))
    }

    var counts: [Outcome: Int] { tally.withLock { $0 } }

    func run(_ alert: AlertRecord) {
        if alert.pendingActions.contains(where: \.isOfPlugin), case .dropped = submitPlugins.yield(alert) { tellOverflow(alert) }
        if alert.pendingActions.contains(where: { !$0.isOfPlugin }), case .dropped = submit.yield(alert) { tellOverflow(alert) }
    }

    /// Ends `runAll` when what waits is done.
    func close() {
        submit.finish()
        submitPlugins.finish()
    }

    func runAll() async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                for await alert in self.alerts {
                    for action in alert.pendingActions where !action.isOfPlugin && !Task.isCancelled {
                        await self.carryOut(action, of: alert)
                    }
                }
            }
            for await alert in pluginAlerts {
                for case .call(let request) in alert.pendingActions where request.isOfPlugin && !Task.isCancelled {
                    begin(request, of: alert, &group)
                }
            }
        }
    }

    private func carryOut(_ action: ActionRequest, of alert: AlertRecord) async {
        switch action {
        case .publish(let request): await publish(request, of: alert)
        case .call(let request) where request.hasBegun: lose(request, of: alert)
        case .call(let request):
            guard case .script(let automation, let function) = request.function else { return }
            await handOver(request, automation, function, of: alert)
        }
    }

    private func begin(_ request: CallRequest, of alert: AlertRecord, _ group: inout DiscardingTaskGroup) {
        guard !request.hasBegun else { return lose(request, of: alert) }
        guard let isFirst = line(Call(request: request, alert: alert)) else { return tellOverflow(alert) }
        if isFirst { group.addTask { await self.runLane(alert.storageID) } }
    }

    private func lose(_ request: CallRequest, of alert: AlertRecord) {
        logger.error(
            "an action of \(alert.rule) was under way when the server ended, and is not run again",
            metadata: ["action": "\(request.function)", "alert": "\(alert.id)"])
        finish(.call(request), .lost, of: alert)
    }

    private func tellOverflow(_ alert: AlertRecord) {
        logger.error("too many actions wait; those of \(alert.rule) are carried out at the next start", metadata: ["alert": "\(alert.id)"])
    }

    // MARK: Records

    /// Records that an action is over.
    private func finish(_ action: ActionRequest, _ result: Outcome.Result, of alert: AlertRecord) {
        tally.withLock { $0[Outcome(kind: action.outcomeKind, result: result), default: 0] += 1 }
        queue.add(CommitWork(amendment: { [board] in board.amend(action.id, of: alert, to: nil)?.write }))
    }

    /// Returns when it is durable that a call begins, or is put off again; false when the server ends.
    private func record(_ request: CallRequest, hasBegun: Bool, of alert: AlertRecord) async -> Bool {
        var next = request
        next.hasBegun = hasBegun
        let action = ActionRequest.call(next)
        return await withCheckedContinuation { continuation in
            let work = CommitWork(
                amendment: { [board] in board.amend(action.id, of: alert, to: action)?.write },
                completion: { continuation.resume(returning: true) })
            if !queue.admit(work) { continuation.resume(returning: false) }
        }
    }

    // MARK: Messages

    private func publish(_ request: PublishRequest, of alert: AlertRecord) async {
        var wait = Duration.milliseconds(200)
        while !Task.isCancelled {
            do throws(PublishFailure) {
                try await publisher.publish(
                    topic: request.topic, payload: Array(request.payload.utf8), qos: request.qos, retain: request.retain,
                    properties: [("nodesphere-id", request.id)])
                return finish(.publish(request), .done, of: alert)
            } catch {
                guard case .refused(let reason) = error else {
                    try? await Task.sleep(for: wait)
                    wait = min(wait * 2, .seconds(5))
                    continue
                }
                logger.error("an action of \(alert.rule) cannot be carried out: \(reason)", metadata: ["topic": "\(request.topic)"])
                return finish(.publish(request), .failed, of: alert)
            }
        }
    }

    // MARK: Automations

    private func handOver(_ request: CallRequest, _ automation: String, _ function: String, of alert: AlertRecord) async {
        guard await record(request, hasBegun: true, of: alert) else { return }
        scripts.call(automation, function, alert, request.arguments)
        finish(.call(request), .done, of: alert)
    }

    // MARK: Plugins

    /// Whether the call is the first one of its alert, so that somebody has to run it; nil when too many wait.
    private func line(_ call: Call) -> Bool? {
        lanes.withLock { lanes in
            guard lanes.count < Self.bound, lanes[call.alert.storageID, default: []].count < Self.bound else { return nil }
            let isFirst = lanes[call.alert.storageID] == nil
            lanes[call.alert.storageID, default: []].append(call)
            return isFirst
        }
    }

    private func runLane(_ alert: String) async {
        while let call = lanes.withLock({ $0[alert]?.first }), !Task.isCancelled {
            await act(call.request, of: call.alert)
            lanes.withLock { lanes in
                lanes[alert]?.removeFirst()
                if lanes[alert]?.isEmpty ?? true { lanes[alert] = nil }
            }
        }
    }

    private func act(_ request: CallRequest, of alert: AlertRecord) async {
        for attempt in 1...PluginActionAttempts.most {
            guard await record(request, hasBegun: true, of: alert) else { return }
            switch await attemptOnce(request, of: alert) {
            case .done: return finish(.call(request), .done, of: alert)
            case .retry(let reason) where attempt < PluginActionAttempts.most:
                tell("could not be carried out and will be tried again", reason, request, of: alert)
                // It did not happen: after a crash it may.
                guard await record(request, hasBegun: false, of: alert) else { return }
                try? await Task.sleep(for: PluginActionAttempts.wait(after: attempt))
                if Task.isCancelled { return }
            case .retry(let reason), .failed(let reason):
                tell("was not carried out", reason, request, of: alert)
                return finish(.call(request), .failed, of: alert)
            }
        }
    }

    private func attemptOnce(_ request: CallRequest, of alert: AlertRecord) async -> PluginActionResult {
        do throws(PluginFailure) {
            return try await plugins.action(request.function.description).run(alert: alert.scriptDocument, arguments: request.arguments)
        } catch { return .failed(reason: error.message) }
    }

    private func tell(_ outcome: String, _ reason: String, _ request: CallRequest, of alert: AlertRecord) {
        logger.error(
            "an action of \(alert.rule) \(outcome): \(reason)", metadata: ["action": "\(request.function)", "alert": "\(alert.id)"])
    }
}

extension CallRequest {
    fileprivate var isOfPlugin: Bool { if case .plugin = function { true } else { false } }
}

extension ActionRequest {
    fileprivate var isOfPlugin: Bool { if case .call(let request) = self { request.isOfPlugin } else { false } }

    fileprivate var outcomeKind: ActionRunner.Outcome.Kind {
        switch self {
        case .publish: .publish
        case .call(let request): if case .script = request.function { .script } else { .plugin }
        }
    }
}

extension AlertRecord {
    fileprivate var write: StateWrite { StateWrite(.alerts, id: storageID, document) }
}
