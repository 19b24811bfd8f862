import Foundation
import Glibc

/// The mosquitto that all of a benchmark's messages go through.
public struct Broker: Sendable {
    public let port: UInt16

    /// The one of `NODESPHERE_MQTT_URL`, which must be on this machine.
    public static func ofEnvironment() throws -> Broker {
        guard let text = ProcessInfo.processInfo.environment["NODESPHERE_MQTT_URL"], let url = URL(string: text), let port = url.port,
            url.scheme == "mqtt", ["127.0.0.1", "localhost"].contains(url.host), let port = UInt16(exactly: port)
        else {
            throw BenchmarkFailure(
                "NODESPHERE_MQTT_URL must name a broker on this machine: run scripts/bench, or eval \"$(scripts/services up)\"")
        }
        return Broker(port: port)
    }

    /// An MQTT 3.1.1 connection with a clean session; the socket.
    public func connect(clientID: String = "") throws -> Int32 {
        let descriptor = try connectToLoopback(port: port)
        let id = Array(clientID.utf8.prefix(100))
        var packet: [UInt8] = [0x10, UInt8(12 + id.count), 0, 4] + Array("MQTT".utf8) + [4, 2, 0, 0, 0, UInt8(id.count)]
        packet += id
        try packet.withUnsafeBytes { try writeAll(descriptor, $0) }
        var answer = [UInt8](repeating: 0, count: 4)
        guard recv(descriptor, &answer, 4, Int32(MSG_WAITALL)) == 4, answer[3] == 0 else {
            close(descriptor)
            throw BenchmarkFailure("the broker refused a connection")
        }
        return descriptor
    }

    /// A clean session under the same id ends the kept one, so that nothing is queued for a server that will not come back.
    func forgetSession(_ clientID: String) {
        guard let descriptor = try? connect(clientID: clientID) else { return }
        _ = [UInt8]([0xe0, 0]).withUnsafeBytes { try? writeAll(descriptor, $0) }
        close(descriptor)
    }
}
