import Logging
import OutgoingHTTP
import RuleEngine
import Synchronization
import Testing

@testable import NotificationChannels

/// Keeps what was published; refuses or fails when told to.
private final class RecordingPublisher: MessagePublisher {
    struct Message: Equatable {
        var topic: String
        var payload: String
        var qos: UInt8
        var retain: Bool
        var id: String?
    }
    let messages = Mutex<[Message]>([])
    let failure: PublishFailure?
    init(failure: PublishFailure? = nil) { self.failure = failure }

    func publish(topic: String, payload: [UInt8], qos: UInt8, retain: Bool, properties: [(String, String)]) async throws(PublishFailure) {
        if let failure { throw failure }
        let id = properties.first { $0.0 == "Nodesphere-Notification-Id" }?.1
        messages.withLock {
            $0.append(Message(topic: topic, payload: String(decoding: payload, as: UTF8.self), qos: qos, retain: retain, id: id))
        }
    }
}

/// Fills `group_labels.NAME` in.
private struct GroupLabelRendering: NotificationTextRendering {
    func render(_ text: NotificationText, document: Document) -> String? {
        var filled = ""
        for part in text.parts {
            switch part {
            case .literal(let literal): filled += literal
            case .expression(let path):
                guard path.hasPrefix("group_labels."), let value = document["groupLabels"]?[String(path.dropFirst(13))]?.string else {
                    return nil
                }
                filled += value
            }
        }
        return filled
    }
}

@Suite struct `Log and MQTT channels` {
    func notification(_ alertname: String = "TooWarm") -> Notification {
        Notification(
            id: "abc", receiver: "r",
            document: [
                "groupLabels": ["alertname": .string(alertname)],
                "alerts": [
                    [
                        "status": "firing", "labels": ["alertname": .string(alertname), "site": "oslo", "device": "f1\nERROR forged"],
                        "annotations": ["summary": "f1 is warm"],
                    ],
                    ["status": "resolved", "labels": ["alertname": .string(alertname), "device": "f2"], "annotations": [:]],
                ],
                "nodesphere": ["alerts": [["value": -9.5], ["value": .null]]],
            ])
    }

    @Test func `the log gets one line an alert, whatever is in its labels`() {
        let lines = LogChannel.lines(notification())
        #expect(
            lines.map(\.1) == ["firing TooWarm device=f1 ERROR forged site=oslo: f1 is warm (value -9.5)", "resolved TooWarm device=f2"])
        #expect(lines.map(\.0) == [.warning, .notice])
    }

    @Test func `a topic's template is filled in, and the document goes to it`() async {
        let publisher = RecordingPublisher()
        let channel = MQTTChannel(
            MQTTChannelConfiguration(
                topic: NotificationText([.literal("alerts/"), .expression("group_labels.alertname")]), qos: 2, retain: true),
            publisher: publisher, rendering: GroupLabelRendering())
        #expect(await channel.attempt(notification()).result == .delivered)
        let json = notification().document.json
        #expect(publisher.messages.withLock { $0 } == [.init(topic: "alerts/TooWarm", payload: json, qos: 2, retain: true, id: "abc")])
    }

    @Test func `a payload of one's own takes the document's place`() async {
        let publisher = RecordingPublisher()
        let channel = MQTTChannel(
            MQTTChannelConfiguration(
                topic: NotificationText(literal: "lamp"),
                payload: NotificationText([.literal("on "), .expression("group_labels.alertname")])),
            publisher: publisher, rendering: GroupLabelRendering())
        #expect(await channel.attempt(notification()).result == .delivered)
        #expect(publisher.messages.withLock { $0.map(\.payload) } == ["on TooWarm"])
    }

    @Test(arguments: [("a/+", "wildcard"), ("#", "wildcard"), ("", "empty"), ("a\0b", "null")])
    func `a name that would make no topic is refused`(alertname: String, word: String) async {
        let publisher = RecordingPublisher()
        let channel = MQTTChannel(
            MQTTChannelConfiguration(topic: NotificationText([.expression("group_labels.alertname")])), publisher: publisher,
            rendering: GroupLabelRendering())
        guard case .rejected(let reason) = await channel.attempt(notification(alertname)).result else { Issue.record("published"); return }
        #expect(reason.contains(word) && publisher.messages.withLock { $0.isEmpty })
    }

    @Test func `what cannot be filled in is refused, what cannot be published is tried again`() async {
        func attempt(_ text: NotificationText, _ publisher: (any MessagePublisher)?) async -> AttemptResult {
            await MQTTChannel(MQTTChannelConfiguration(topic: text), publisher: publisher, rendering: GroupLabelRendering()).attempt(
                notification())
        }
        let topic = NotificationText(literal: "t")
        #expect(
            await attempt(NotificationText([.expression("group_labels.missing")]), RecordingPublisher()).result
                == .rejected(reason: "the topic's template cannot be filled in"))
        #expect(
            await attempt(topic, RecordingPublisher(failure: .unavailable("no broker")))
                == AttemptResult(.failed(reason: "no broker", retryAfter: nil), mayHaveArrived: true))
        #expect(await attempt(topic, RecordingPublisher(failure: .refused("not allowed"))).result == .rejected(reason: "not allowed"))
        #expect(
            await attempt(topic, nil) == AttemptResult(.failed(reason: "there is no MQTT connection to publish on", retryAfter: nil)))
    }

    @Test func `a set of channels gives each attempt to its own`() async {
        let publisher = RecordingPublisher()
        let receivers = [
            Receiver(
                name: "both", channels: [.log(LogConfiguration()), .mqtt(MQTTChannelConfiguration(topic: NotificationText(literal: "t")))])
        ]
        let set = ChannelSet(
            receivers: receivers, http: HTTPClient(), publisher: publisher, rendering: ConstantTextRendering(),
            plugins: { _ in fatalError("there is none") }, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        #expect(await set.attempt(Integration(receiver: "both", kind: "log", index: 0), notification()).result == .delivered)
        #expect(publisher.messages.withLock { $0.isEmpty })
        #expect(await set.attempt(Integration(receiver: "both", kind: "mqtt", index: 1), notification()).result == .delivered)
        #expect(publisher.messages.withLock { $0.count } == 1)
        guard case .rejected = await set.attempt(Integration(receiver: "both", kind: "mqtt", index: 0), notification()).result else {
            Issue.record("there is no such channel")
            return
        }
    }
}
