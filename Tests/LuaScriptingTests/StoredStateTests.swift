import LuaScripting
import RuleEngine
import Testing

/// What a script puts out is handed over with the state that it wrote before, or behind it.
@Suite struct StoredStateTests {
    /// Hands readings to a script as a host does, and writes down what it is to carry out.
    private final class Host {
        let runtime = AutomationRuntime()
        private(set) var lines: [String] = []

        init(_ script: String) {
            runtime.load(
                file: "a.lua", text: "automation { name = 'a' }:on_reading('t', function(r) \(script) end)", at: Instant(milliseconds: 0))
            take()
            lines = []
        }

        func read(_ payload: String, at milliseconds: Int64) {
            let at = Instant(milliseconds: milliseconds)
            _ = runtime.advance(to: at)
            take()
            runtime.apply(.reading(topic: "t", payload: Array(payload.utf8), isRetained: false), at: at)
            take()
        }

        func pass(to milliseconds: Int64) {
            let end = Instant(milliseconds: milliseconds)
            while let due = runtime.nextDue, due <= end {
                _ = runtime.advance(to: due)
                take()
            }
        }

        /// Of what is taken together, the states are stored first.
        private func take() {
            let effects = runtime.takeEffectsBehindStates()
            for effect in effects { if case .store(_, let document) = effect.kind { lines.append("store \(document?["n"]?.json ?? "-")") } }
            for effect in effects {
                switch effect.kind {
                case .publish(_, let payload, _, _): lines.append("publish \(String(decoding: payload, as: UTF8.self))")
                case .log(_, let message): lines.append("log \(message)")
                case .fault(let fault): lines.append("fault \(fault.message)")
                default: break
                }
            }
        }
    }

    @Test func `a small state is stored before what was done with it is seen`() {
        let host = Host("state.n = r.value mqtt.publish('o', r.value)")
        for number in 1...3 { host.read("\(number)", at: Int64(number)) }
        #expect(host.lines == ["store 1", "publish 1", "store 2", "publish 2", "store 3", "publish 3"])
    }

    @Test func `of a script that only remembers nothing is stored for each reading`() {
        let host = Host("state.n = r.value if r.value == 3 then mqtt.publish('o', 3) end")
        for number in 1...3 { host.read("\(number)", at: Int64(number)) }
        #expect(host.lines == ["store 3", "publish 3"])
    }

    @Test func `a large state is stored as often as its size allows, and what was done with it waits`() {
        // 100 KB: for 60 ms.
        let host = Host("state.long = string.rep('x', 100000) state.n = r.value log.info(r.value) mqtt.publish('o', r.value)")
        host.read("1", at: 1000)
        #expect(host.lines == ["store 1", "log 1", "publish 1"])
        host.read("2", at: 1010)
        host.read("3", at: 1020)
        #expect(host.lines.dropFirst(3) == ["log 2", "log 3"])
        host.pass(to: 1059)
        #expect(host.lines.count == 5)
        host.pass(to: 1070)
        #expect(host.lines.dropFirst(5) == ["store 3", "publish 2", "publish 3"])
        host.read("4", at: 5000)
        #expect(host.lines.dropFirst(8) == ["store 4", "log 4", "publish 4"])
    }

    @Test func `a state that cannot be stored holds nothing up`() {
        let host = Host(
            "state.long = string.rep('x', 100000) state.n = r.value if r.value > 1 then state.f = print end mqtt.publish('o', r.value)")
        host.read("1", at: 1000)
        host.read("2", at: 1010)
        host.pass(to: 3000)
        #expect(host.lines.contains("publish 2"))
        #expect(host.lines.contains { $0.hasPrefix("fault the state cannot be stored") })
    }

    @Test func `what waits for a state is carried out when the script ends, or is another`() {
        let script = "state.long = string.rep('x', 100000) state.n = r.value mqtt.publish('o', r.value)"
        for end in 0..<3 {
            let host = Host(script)
            host.read("1", at: 1000)
            host.read("2", at: 1010)
            #expect(host.lines == ["store 1", "publish 1"])
            let at = Instant(milliseconds: 1020)
            switch end {
            case 0: host.runtime.stop(at: at)
            case 1: host.runtime.remove(file: "a.lua", at: at)
            default: host.runtime.load(file: "a.lua", text: "automation { name = 'a' }", reason: "reload", at: at)
            }
            host.pass(to: 1021)
            host.runtime.apply(.reading(topic: "none", payload: [], isRetained: false), at: at)
            host.read("0", at: 1021)
            #expect(Array(host.lines.prefix(4)) == ["store 1", "publish 1", "store 2", "publish 2"])
        }
    }
}
