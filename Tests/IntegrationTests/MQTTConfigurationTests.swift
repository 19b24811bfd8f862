import MQTTTelemetry
import Testing

@Suite struct MQTTConfigurationTests {
    static let addresses: [(String, String, UInt16, Bool)] = [
        ("mqtt://localhost", "localhost", 1883, false),
        ("mqtts://broker.example:8884", "broker.example", 8884, true),
        ("mqtts://broker.example/", "broker.example", 8883, true),
        ("MQTT://[::1]:1884", "::1", 1884, false),
        ("mqtt://[::1]", "::1", 1883, false),
        ("mqtt://u:p@h:1", "h", 1, false),
    ]

    @Test(arguments: addresses)
    func `an address gives host, port and whether TLS is used`(url: String, host: String, port: UInt16, usesTLS: Bool) throws {
        let configuration = try MQTTConfiguration(url: url, clientID: "c")
        #expect(configuration.host == host)
        #expect(configuration.port == port)
        #expect(configuration.usesTLS == usesTLS)
    }

    static let mistakes: [(String, String)] = [
        ("localhost", "mqtt.url: must begin with mqtt:// or mqtts://"),
        ("http://secret@localhost", "mqtt.url: must begin with mqtt:// or mqtts://"),
        ("mqtt://", "mqtt.url: has no host"),
        ("mqtt://:1883", "mqtt.url: has no host"),
        ("mqtt://h:0", "mqtt.url: the port '0' is not a number from 1 to 65535"),
        ("mqtt://h:65536", "mqtt.url: the port '65536' is not a number from 1 to 65535"),
        ("mqtt://h/topic", "mqtt.url: takes a host and a port, no path or query"),
        ("mqtt://::1", "mqtt.url: an IPv6 address stands in brackets: mqtt://[::1]:1883"),
        ("mqtt://[::1", "mqtt.url: the IPv6 address lacks its ']'"),
        ("mqtt://secret%4:secret@h", "mqtt.url: the name or password has a '%' that is not followed by two hexadecimal digits"),
    ]

    @Test(arguments: mistakes)
    func `an address that cannot work is refused with the rule`(url: String, message: String) {
        let mistake = #expect(throws: MQTTConfiguration.Mistake.self) { try MQTTConfiguration(url: url, clientID: "c") }
        #expect(mistake?.description == message)
        #expect(mistake?.description.contains("secret") == false)
    }

    @Test func `settings that contradict each other are refused`() {
        func message(_ make: () throws -> MQTTConfiguration) -> String? {
            do { _ = try make() } catch { return "\(error)" }
            return nil
        }
        #expect(message { try MQTTConfiguration(url: "mqtt://h", clientID: "") }?.hasPrefix("mqtt.client_id: cannot be empty") == true)
        #expect(
            message { try MQTTConfiguration(url: "mqtt://h", clientID: "c", version: "4") } == "mqtt.version: must be 3.1.1 or 5, not '4'")
        #expect(
            message { try MQTTConfiguration(url: "mqtt://h", password: "p", clientID: "c") }
                == "mqtt.password: needs a username (mqtt.username)")
        #expect(
            message { try MQTTConfiguration(url: "mqtt://h", clientID: "c", caFile: "/etc/passwd") }
                == "mqtt.ca_file: needs an mqtts:// address")
        #expect(
            message { try MQTTConfiguration(url: "mqtts://h", clientID: "c", caFile: "/nowhere/ca.pem") }
                == "mqtt.ca_file: '/nowhere/ca.pem' cannot be read: No such file or directory")
        #expect(
            message { try MQTTConfiguration(url: "mqtts://h", clientID: "c", certFile: "/etc/passwd") }
                == "mqtt.key_file: a client certificate needs both cert_file and key_file")
        #expect(
            message { try MQTTConfiguration(url: "mqtt://h", clientID: "c", shareGroup: "a/b") }
                == "mqtt.share_group: is a name without '/', '+' and '#'")
        #expect(
            message { try MQTTConfiguration(url: "mqtt://h", clientID: "c", keepAlive: .seconds(4)) }
                == "mqtt.keep_alive: must be between 5s and 65535s")
    }

    @Test func `no description holds the password`() throws {
        let configuration = try MQTTConfiguration(url: "mqtts://node:s%65cret@h", clientID: "c")
        #expect(configuration.username == "node")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped] { #expect(!text.contains("secret")) }
        #expect("\(configuration)" == "mqtts://h:8883 as 'c' with MQTT 5, user 'node'")
    }

    @Test func `filters are put into the share group unless they name one`() throws {
        let configuration = try MQTTConfiguration(url: "mqtt://h", clientID: "c", shareGroup: "g")
        #expect(configuration.effectiveFilter("a/+") == "$share/g/a/+")
        #expect(configuration.effectiveFilter("$share/other/a/+") == "$share/other/a/+")
        #expect(try MQTTConfiguration(url: "mqtt://h", clientID: "c").effectiveFilter("a/+") == "a/+")
    }
}
