import BenchmarkHarness

/// What one run gave.
struct Measurement {
    var messages: Double
    /// From the first byte sent to the last message taken.
    var seconds: Double
    var processorSeconds: Double

    var rate: Double { messages / seconds }
    var microseconds: Double { processorSeconds / messages * 1e6 }
}

/// Messages from the publisher in C to one of the two that are compared: topics below `bare/` for the subscriber, below `dev/` for the server.
struct Traffic {
    let broker: Broker
    let server: ServerUnderTest

    private static let devices = 1000
    /// QoS 1 messages that may be unacknowledged.
    private static let window = 2000

    private func publisher(_ prefix: String, qos: Int, messages: Int, rate: Double = 0) throws -> ChildProcess {
        try ChildProcess(
            referenceProgram("publisher"),
            ["\(broker.port)", "\(messages)", "\(qos)", "\(Self.devices)", "\(rate)", "\(Self.window)", prefix])
    }

    func toSubscriber(qos: Int, messages: Int) throws -> Measurement {
        // The same version and quality of subscription that the server has by default.
        let subscriber = try ChildProcess(referenceProgram("subscriber"), ["\(broker.port)", "bare/+/up", "1", "\(messages)", "5"])
        guard subscriber.readLine() == "ready" else { throw BenchmarkFailure("the subscriber was refused") }
        let sent = try publisher("bare", qos: qos, messages: messages).readFigures()
        let seen = try subscriber.readFigures()
        return Measurement(
            messages: Double(messages), seconds: (seen["ended"] ?? 0) - (sent["began"] ?? 0),
            processorSeconds: seen["processorSeconds"] ?? 0)
    }

    func toServer(qos: Int, messages: Int) throws -> Measurement {
        let wanted = try server.metric("nodesphere_readings_total") + Double(messages)
        let before = server.processorSeconds
        let sender = try publisher("dev", qos: qos, messages: messages)
        let ended = try server.waitForReadings(wanted)
        let used = server.processorSeconds - before
        let sent = try sender.readFigures()
        return Measurement(messages: Double(messages), seconds: ended - (sent["began"] ?? 0), processorSeconds: used)
    }

    /// Messages that did not arrive, and how long after the last was sent the last one was taken.
    func paced(qos: Int, messages: Int, rate: Double) throws -> (lost: Double, behind: Double) {
        let wanted = try server.metric("nodesphere_readings_total") + Double(messages)
        let dropped = try server.metric("nodesphere_readings_dropped_total")
        let sent = try publisher("dev", qos: qos, messages: messages, rate: rate).readFigures()
        let last = (sent["began"] ?? 0) + (sent["seconds"] ?? 0)
        guard let ended = try? server.waitForReadings(wanted) else {
            return (wanted - (try server.metric("nodesphere_readings_total")), .infinity)
        }
        return (try server.metric("nodesphere_readings_dropped_total") - dropped, max(0, ended - last))
    }
}
