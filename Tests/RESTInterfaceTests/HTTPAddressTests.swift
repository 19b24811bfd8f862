import RESTInterface
import Testing

@Suite struct HTTPAddressTests {
    @Test(arguments: [
        ("127.0.0.1:8080", "127.0.0.1", 8080, "127.0.0.1:8080"), ("127.1.2.3:0", "127.1.2.3", 0, "127.1.2.3:0"),
        ("localhost:65535", "127.0.0.1", 65535, "127.0.0.1:65535"),
        ("LocalHost:80", "127.0.0.1", 80, "127.0.0.1:80"), ("[::1]:8080", "::1", 8080, "[::1]:8080"),
    ])
    func `A loopback address and a port are read`(text: String, host: String, port: Int, shown: String) throws {
        let address = try HTTPAddress(text)
        #expect((address.host, address.port, "\(address)") == (host, port, shown))
    }

    @Test(arguments: [
        "0.0.0.0:8080", "192.168.1.5:8080", "[::]:8080", "[fe80::1]:80", "example.com:80", "10.0.0.1:80", "128.0.0.1:80",
        "127.0.0.1\u{0}:80", "[127.0.0.1]:80",
        "[::1%lo]:80", ":8080", "*:8080",
    ])
    func `Any other address is refused, for there is no authentication yet`(text: String) {
        #expect(message(text)?.contains("there is no authentication yet") == true, "\(message(text) ?? "taken")")
        #expect(message(text)?.contains("127.0.0.1") == true)
    }

    @Test(arguments: [
        ("8080", "must be HOST:PORT"), ("", "must be HOST:PORT"), ("localhost", "must be HOST:PORT"), ("localhost:", "a port must be"),
        ("localhost:65536", "a port must be"), ("localhost:-1", "a port must be"), ("localhost:+1", "a port must be"),
        ("localhost:http", "a port must be"),
        ("localhost:99999999999999999999", "a port must be"), ("::1:8080", "must stand in brackets"), ("[::1]", "a port must be"),
    ])
    func `A text that is no address is refused, and says what must stand there`(text: String, says: String) {
        #expect(message(text)?.contains(says) == true, "\(message(text) ?? "taken")")
    }

    private func message(_ text: String) -> String? {
        do {
            _ = try HTTPAddress(text)
            return nil
        } catch {
            return error.description
        }
    }
}
