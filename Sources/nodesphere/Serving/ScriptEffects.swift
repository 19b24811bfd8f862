import Foundation
import Logging
import NotificationChannels
import RuleEngine
import Synchronization

/// Carries out what scripts want: publishes, notifies, changes devices, stores, logs.
final class ScriptEffects: Sendable {
    private let publisher: any MessagePublisher
    private let queue: CommitQueue
    private let directory: any DeviceDirectory
    private let logger: Logger
    private let channels: Mutex<(set: ChannelSet, receivers: [Receiver])>
    private let outward: AsyncStream<ScriptEffect>
    private let submit: AsyncStream<ScriptEffect>.Continuation

    /// Messages, notifications and changes that may wait; later ones are dropped, and said so.
    private static let bound = 10_000
    private static let notificationAttempts = 5

    init(
        publisher: any MessagePublisher, queue: CommitQueue, directory: any DeviceDirectory, channels: ChannelSet, receivers: [Receiver],
        logger: Logger
    ) {
        self.publisher = publisher
        self.queue = queue
        self.directory = directory
        self.logger = logger
        self.channels = Mutex((channels, receivers))
        (outward, submit) = AsyncStream.makeStream(of: ScriptEffect.self, bufferingPolicy: .bufferingOldest(Self.bound))
    }

    func setChannels(_ set: ChannelSet, _ receivers: [Receiver]) { channels.withLock { $0 = (set, receivers) } }

    /// Takes effects in, on the scripts' thread.
    func take(_ effects: [ScriptEffect]) {
        for effect in effects {
            switch effect.kind {
            case .store(let id, let document): queue.add(CommitWork(writes: [StateWrite(.scripts, id: id, document)]))
            case .log(let level, let message):
                logger.log(level: Logger.Level(rawValue: level) ?? .info, "\(message)", metadata: ["automation": "\(effect.automation)"])
            case .fault(let fault): log(fault, effect.automation)
            case .subscriptionsChanged: break
            case .publish, .notify, .setConfig:
                if case .dropped = submit.yield(effect) {
                    logger.error(
                        "too much of what scripts want waits; something is dropped", metadata: ["automation": "\(effect.automation)"])
                }
            }
        }
    }

    private func log(_ fault: ScriptFault, _ automation: String) {
        var metadata: Logger.Metadata = ["automation": "\(automation)"]
        if let end = fault.disabledUntil { metadata["disabledUntil"] = "\(end)" }
        let way = fault.traceback.split(separator: "\n").count > 1 ? "\n\(fault.traceback)" : ""
        logger.error("\(fault.file):\(fault.line): \(fault.message)\(way)", metadata: metadata)
    }

    /// Ends `run` when what waits is done.
    func close() { submit.finish() }

    /// Carries out what goes to others, one after the other, until closed or cancelled.
    ///
    /// - Parameters:
    ///   - follow: takes changes of devices to the rules.
    ///   - answer: tells scripts what became of a request.
    func run(
        follow: @Sendable ([DirectoryChange]) -> Void, answer: @Sendable (Int64, String?) -> Void
    ) async {
        await withTaskGroup(of: Void.self) { notifications in
            for await effect in outward {
                switch effect.kind {
                case .publish(let topic, let payload, let qos, let retain): await publish(effect, topic, payload, qos, retain)
                case .notify(let receiver, let content): notifications.addTask { await self.notify(effect, receiver, content) }
                case .setConfig(let request, let device, let patch): answer(request, await setConfig(device, patch, follow))
                default: break
                }
                if Task.isCancelled { break }
            }
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

    private func setConfig(_ id: String, _ patch: Document, _ follow: @Sendable ([DirectoryChange]) -> Void) async -> String? {
        do throws(StoreFailure) {
            var device = try await directory.snapshot().devices.first { $0.id == id } ?? DeviceRecord(id: id)
            device.config = device.config.merging(patch: patch)
            try await directory.put(device)
            follow([.device(id: id, device)])
            return nil
        } catch {
            return error.description
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
