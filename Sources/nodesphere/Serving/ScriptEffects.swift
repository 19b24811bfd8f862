import Foundation
import InfluxWindows
import Logging
import NotificationChannels
import RuleEngine
import Synchronization

/// Carries out what scripts want: publishes, notifies, changes devices, stores, logs.
final class ScriptEffects: Sendable {
    private let publisher: any MessagePublisher
    private let queue: CommitQueue
    private let directory: any DeviceDirectory
    private let variables: Variables
    private let http: ScriptHTTP
    /// Nil: no InfluxDB is configured.
    private let influx: InfluxAccess?
    private let logger: Logger
    private let channels: Mutex<(set: ChannelSet, receivers: [Receiver])>
    private let outward: AsyncStream<ScriptEffect>
    private let submit: AsyncStream<ScriptEffect>.Continuation
    /// A line of their own: while the broker is away they wait, and nothing else does.
    private let messages: AsyncStream<ScriptEffect>
    private let submitMessage: AsyncStream<ScriptEffect>.Continuation
    /// Tells scripts what became of a request.
    private let answering = Mutex<(@Sendable (Int64, ScriptAnswer) -> Void)?>(nil)
    /// Parts of what scripts did whose states are not stored yet.
    private let unstored = Mutex(0)
    /// Requests that reach out and are under way.
    private let underWay = Mutex(0)

    /// Messages, notifications and changes that may wait; later ones are dropped, and said so.
    private static let bound = 10_000
    private static let notificationAttempts = 5
    private static let mostUnderWay = 1000

    init(
        publisher: any MessagePublisher, queue: CommitQueue, directory: any DeviceDirectory, variables: Variables, channels: ChannelSet,
        receivers: [Receiver], http: ScriptHTTP, influx: InfluxAccess?, logger: Logger
    ) {
        self.http = http
        self.influx = influx
        self.publisher = publisher
        self.queue = queue
        self.directory = directory
        self.variables = variables
        self.logger = logger
        self.channels = Mutex((channels, receivers))
        (outward, submit) = AsyncStream.makeStream(of: ScriptEffect.self, bufferingPolicy: .bufferingOldest(Self.bound))
        (messages, submitMessage) = AsyncStream.makeStream(of: ScriptEffect.self, bufferingPolicy: .bufferingOldest(Self.bound))
    }

    func setChannels(_ set: ChannelSet, _ receivers: [Receiver]) { channels.withLock { $0 = (set, receivers) } }

    /// Takes effects in, on the scripts' thread. What scripts do is seen by nobody before the state that they wrote with it is stored.
    func take(_ effects: [ScriptEffect]) {
        var writes: [StateWrite] = []
        var others: [ScriptEffect] = []
        for effect in effects {
            switch effect.kind {
            case .store(let id, let document): writes.append(StateWrite(.scripts, id: id, document))
            case .log(let level, let message):
                logger.log(level: Logger.Level(rawValue: level) ?? .info, "\(message)", metadata: ["automation": "\(effect.automation)"])
            case .fault(let fault): log(fault, effect.automation)
            case .subscriptionsChanged: break
            case .publish, .notify, .request, .raise, .resolve, .hush: others.append(effect)
            }
        }
        let isFree = unstored.withLock { unstored in
            guard unstored > 0 || !writes.isEmpty else { return true }
            unstored += 1
            return false
        }
        guard !isFree else { return send(others) }
        queue.add(
            CommitWork(writes: writes) { [self, others] in
                send(others)
                unstored.withLock { $0 -= 1 }
            })
    }

    private func send(_ effects: [ScriptEffect]) {
        for effect in effects {
            let line = if case .publish = effect.kind { submitMessage } else { submit }
            guard case .dropped = line.yield(effect) else { continue }
            logger.error("too much of what scripts want waits; something is dropped", metadata: ["automation": "\(effect.automation)"])
            // A handler waits for it.
            guard case .request(let number, _) = effect.kind else { continue }
            answering.withLock { $0 }?(number, .failed("too much of what scripts want waits"))
        }
    }

    private func log(_ fault: ScriptFault, _ automation: String) {
        var metadata: Logger.Metadata = ["automation": "\(automation)"]
        if let end = fault.disabledUntil { metadata["disabledUntil"] = "\(end)" }
        logger.error("\(fault.text)", metadata: metadata)
    }

    /// Ends `run` when what waits is done.
    func close() {
        submit.finish()
        submitMessage.finish()
    }

    /// Carries out what goes to others, messages one after the other and beside them all else, until closed or cancelled.
    ///
    /// - Parameters:
    ///   - host: takes alerts of scripts.
    ///   - follow: takes changes of devices to the rules.
    ///   - answer: tells scripts what became of a request.
    func run(
        host: EngineHost, follow: @Sendable ([DirectoryChange]) -> Void, answer: @escaping @Sendable (Int64, ScriptAnswer) -> Void
    ) async {
        answering.withLock { $0 = answer }
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await self.publishAll() }
            for await effect in outward {
                switch effect.kind {
                case .notify(let receiver, let content): tasks.addTask { await self.notify(effect, receiver, content) }
                case .request(let number, .setConfig(let device, let patch)): answer(number, await setConfig(device, patch, follow))
                case .request(let number, .setVariable(let name, let value)): answer(number, await setVariable(name, value, host))
                case .raise(let alert): raise(alert, host)
                case .resolve(let selection): host.apply(.resolve(selection))
                case .hush(let request): hush(effect, request, host)
                case .request(let number, let request): tasks.addTask { answer(number, await self.reachOut(request)) }
                default: break
                }
                if Task.isCancelled { break }
            }
        }
    }

    private func publishAll() async {
        for await effect in messages {
            if case .publish(let topic, let payload, let qos, let retain) = effect.kind {
                await publish(effect, topic, payload, qos, retain)
            }
            if Task.isCancelled { break }
        }
    }

    private func publish(_ effect: ScriptEffect, _ topic: String, _ payload: [UInt8], _ qos: UInt8, _ retain: Bool) async {
        var wait = Duration.milliseconds(200)
        while !Task.isCancelled {
            do throws(PublishFailure) {
                return try await publisher.publish(topic: topic, payload: payload, qos: qos, retain: retain, properties: [])
            } catch {
                guard case .unavailable = error, qos > 0 else {
                    return logger.error(
                        "a message of a script was not published: \(error)",
                        metadata: ["automation": "\(effect.automation)", "topic": "\(topic)"])
                }
                try? await Task.sleep(for: wait)
                wait = min(wait * 2, .seconds(5))
            }
        }
    }

    private func raise(_ alert: ScriptAlert, _ host: EngineHost) {
        host.apply(.raise(alert))
        guard !host.look({ engine in engine.scriptAlerts.contains { $0.id == alert.id } }) else { return }
        logger.error(
            "an alert of a script was refused: \(ScriptAlert.most) of them fire already, as many as may",
            metadata: ["automation": "\(alert.automation)", "alert": "\(alert.alertname)"])
    }

    private func hush(_ effect: ScriptEffect, _ request: HushRequest, _ host: EngineHost) {
        guard let refusal = host.withPipeline({ pipeline, now in pipeline.take(request, at: now) }) else { return }
        logger.warning("what a script wanted of alerts was refused: \(refusal)", metadata: ["automation": "\(effect.automation)"])
    }

    /// Requests to others, many at once.
    private func reachOut(_ request: ScriptRequest) async -> ScriptAnswer {
        let isOne = underWay.withLock { count in
            guard count < Self.mostUnderWay else { return false }
            count += 1
            return true
        }
        guard isOne else { return .failed("\(Self.mostUnderWay) requests of scripts are under way already") }
        defer { underWay.withLock { $0 -= 1 } }
        if case .http(let call) = request { return await http.send(call) }
        guard let influx else { return .failed("no InfluxDB is configured ('influxdb.url')") }
        do throws(HistoryFailure) {
            if case .query(let text) = request { return .value(try await influx.series(of: text)) }
            if case .write(let point) = request { try await influx.write(point) }
            return .done
        } catch { return .failed(error.description) }
    }

    private func setVariable(_ name: String, _ value: Document?, _ host: EngineHost) async -> ScriptAnswer {
        do throws(StoreFailure) {
            try await variables.set(name, to: value, host)
            return .done
        } catch { return .failed(error.description) }
    }

    private func setConfig(_ id: String, _ patch: Document, _ follow: @Sendable ([DirectoryChange]) -> Void) async -> ScriptAnswer {
        do throws(StoreFailure) {
            var device = try await directory.snapshot().devices.first { $0.id == id } ?? DeviceRecord(id: id)
            device.config = device.config.merging(patch: patch)
            try await directory.put(device)
            follow([.device(id: id, device)])
            return .done
        } catch {
            return .failed(error.description)
        }
    }

    /// Tries each channel of the receiver a few times; what a script says is not stored, so that a crash loses it.
    private func notify(_ effect: ScriptEffect, _ name: String, _ content: Document) async {
        let (set, receivers) = channels.withLock { $0 }
        guard let receiver = receivers.first(where: { $0.name == name }) else {
            return logger.error(
                "a script wants to notify '\(name)', and there is no such receiver", metadata: ["automation": "\(effect.automation)"])
        }
        let notification = Notification(
            id: UUID().uuidString.lowercased(), receiver: name, document: Self.document(effect, name, content))
        for (index, channel) in receiver.channels.enumerated() {
            let integration = Integration(receiver: name, kind: channel.kind, index: index)
            var wait = Duration.seconds(1)
            for attempt in 1...Self.notificationAttempts {
                switch await set.attempt(integration, notification).result {
                case .delivered: break
                case .failed(let reason, let after) where attempt < Self.notificationAttempts:
                    logger.warning("a notification of a script could not be delivered and will be tried again: \(reason)")
                    try? await Task.sleep(for: min(after ?? wait, .seconds(60)))
                    wait = wait * 2
                    if Task.isCancelled { return }
                    continue
                case .failed(let reason, _), .rejected(let reason):
                    logger.error(
                        "a notification of a script was not delivered: \(reason)",
                        metadata: ["automation": "\(effect.automation)", "receiver": "\(name)"])
                }
                break
            }
        }
    }

    /// The Alertmanager document with one alert, which is the script's.
    private static func document(_ effect: ScriptEffect, _ receiver: String, _ content: Document) -> Document {
        var labels: [Document.Member] = [.init("alertname", .string(effect.automation))]
        if let severity = content["severity"] { labels.append(.init("severity", severity)) }
        labels += (content["labels"]?.members ?? []).filter { member in !labels.contains { $0.name == member.name } }
        var annotations: [Document.Member] = [.init("summary", content["summary"] ?? "")]
        if let description = content["description"] { annotations.append(.init("description", description)) }
        let strings = Document.object(labels).strings
        let alert: Document = [
            "status": "firing", "labels": .object(labels), "annotations": .object(annotations), "startsAt": .instant(effect.at),
            "endsAt": .instant(effect.at), "generatorURL": "", "fingerprint": .string(labelFingerprint(strings)),
        ]
        return [
            "version": "4", "groupKey": .string("automation:\(effect.automation)"), "truncatedAlerts": 0, "status": "firing",
            "receiver": .string(receiver), "groupLabels": ["alertname": .string(effect.automation)], "commonLabels": .object(labels),
            "commonAnnotations": .object(annotations), "externalURL": "", "alerts": .array([alert]),
            "nodesphere": ["automation": .string(effect.automation)],
        ]
    }
}

extension EngineHost {
    /// Ends what automations had raised that are not there any more.
    func keepScriptAlerts(of automations: [String]) {
        let groups = Set(automations.map { ScriptAlert.groupPrefix + $0 })
        guard look({ engine in engine.scriptAlerts.contains { !groups.contains($0.rule.group) } }) else { return }
        apply(.automations(automations))
    }
}
