internal import RuleEngine

extension AutomationRuntime {
    func defineMQTT(_ automation: Automation) {
        define(automation, "mqtt.publish") { runtime, automation, call in
            guard let topic = call[0].text, Self.isTopic(topic) else { return .raise("wants a topic first, without '+', '#' and U+0000") }
            let payload: [UInt8]
            switch call[1] {
            case .none: payload = []
            case .array, .object: payload = Array(call[1].document.json.utf8)
            default:
                guard let bytes = call[1].payload else { return .raise("the payload must be a string, a number, a bool or a table") }
                payload = bytes
            }
            guard payload.count <= 262_144 else { return .raise("the payload has more than 262144 bytes") }
            var (qos, retain) = (UInt8(0), false)
            guard let options = call[2].isNone ? [] : call[2].members else { return .raise("the options must be a table") }
            for option in options {
                switch (option.name, option.value) {
                case ("qos", .int(let value)) where (0...2).contains(value): qos = UInt8(value)
                case ("retain", .bool(let flag)): retain = flag
                case ("qos", _): return .raise("'qos' must be 0, 1 or 2")
                case ("retain", _): return .raise("'retain' must be true or false")
                default: return .raise("there is no option '\(option.name)': there are qos and retain")
                }
            }
            if let over = runtime.overOutput(automation) { return over }
            runtime.emit(automation, .publish(topic: topic, payload: payload, qos: qos, retain: retain))
            return .nothing
        }
        define(automation, "mqtt.latest") { runtime, _, call in
            guard let topic = call[0].text else { return .raise("wants a topic") }
            guard let reading = runtime.latest[topic] else { return .value(.none) }
            let others: [LuaValue.Member] = [
                .init("topic", .string(topic)), .init("time", .double(reading.at.seconds)),
                .init("payload", String(validating: reading.payload, as: UTF8.self).map { .string($0) } ?? .bytes(reading.payload)),
            ]
            return .value(.object(reading.message.members + others))
        }
    }

    private static func isTopic(_ topic: String) -> Bool {
        !topic.isEmpty && topic.utf8.count <= 65_535
            && !topic.utf8.contains { $0 == 0 || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
    }
}
