import BenchmarkHarness
import Glibc

/// Publishes readings at a steady rate, whatever becomes of them, over one connection with QoS 1. Belongs to one thread.
final class Fleet {
    private let descriptor: Int32
    private var number = 0
    private var answers = [UInt8](repeating: 0, count: 65_536)

    /// Devices that are well.
    private static let quietDevices = 1000
    /// One message in so many fires.
    private static let firingEvery = 10

    init(broker: Broker) throws { descriptor = try broker.connect() }

    deinit { close(descriptor) }

    /// The numbers of the messages that fire, and when each was given to the socket.
    func publish(rate: Int, seconds: Int) throws -> [Int: Double] {
        var sentAt: [Int: Double] = [:]
        let total = rate * seconds
        var sent = 0
        let began = monotonicSeconds()
        while sent < total {
            let due = min(total, Int((monotonicSeconds() - began) * Double(rate)) + 1)
            if due > sent {
                var packets: [UInt8] = []
                var firing: [Int] = []
                for _ in sent..<due {
                    number += 1
                    let fires = number.isMultiple(of: Self.firingEvery)
                    if fires { firing.append(number) }
                    packets += packet(number, fires: fires)
                }
                let now = monotonicSeconds()
                for number in firing { sentAt[number] = now }
                try packets.withUnsafeBytes { try writeAll(descriptor, $0) }
                sent = due
            }
            // The broker's acknowledgements are of no interest, but must not fill its buffer.
            while recv(descriptor, &answers, answers.count, Int32(MSG_DONTWAIT)) > 0 {}
            sleepSeconds(min(Double(sent) / Double(rate) - (monotonicSeconds() - began), 0.001))
        }
        return sentAt
    }

    private func packet(_ number: Int, fires: Bool) -> [UInt8] {
        let device = fires ? "hot-\(number)" : "well-\(number % Self.quietDevices)"
        let topic = Array("dev/\(device)/up".utf8)
        let payload = Array(
            #"{"device":"\#(device)","seq":"\#(number)","temperature":\#(fires ? 80 : 20 + number % 7),"humidity":41.5}"#.utf8)
        let id = number % 65_535 + 1
        let rest = 2 + topic.count + 2 + payload.count
        var bytes: [UInt8] = [0x32]
        if rest >= 128 { bytes += [UInt8(rest % 128 | 128), UInt8(rest / 128)] } else { bytes.append(UInt8(rest)) }
        return bytes + [0, UInt8(topic.count)] + topic + [UInt8(id >> 8), UInt8(id & 255)] + payload
    }
}
