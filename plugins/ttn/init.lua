-- https://www.thethingsindustries.com/docs/integrations/other-integrations/mqtt/ and …/the-things-stack/concepts/data-formats/
--
-- The members of `decoded_payload` are the fields; the network's knowledge is `lorawan`: device_id, application_id, dev_eui, port, counter,
-- rssi and snr of the gateway that heard best, gateways, spreading_factor. The time is when the network received it.

local function best(gateways)
  local found
  for _, gateway in ipairs(gateways) do
    if type(gateway) == "table" and type(gateway.rssi) == "number" and (not found or gateway.rssi > found.rssi) then found = gateway end
  end
  return found
end

local function spreading_factor(uplink)
  local rate = uplink.settings and uplink.settings.data_rate
  return rate and rate.lora and rate.lora.spreading_factor
end

local function about(message)
  local ids = message.end_device_ids
  return {
    device_id = ids.device_id, dev_eui = ids.dev_eui,
    application_id = ids.application_ids and ids.application_ids.application_id,
  }
end

local function uplink(message)
  local up = message.uplink_message
  local fields = {}
  if type(up.decoded_payload) == "table" then fields = names.identifiers(up.decoded_payload) end
  local lorawan = about(message)
  lorawan.port = up.f_port
  -- The first frame has the counter 0, which the stack leaves out.
  lorawan.counter = up.f_cnt or 0
  lorawan.spreading_factor = spreading_factor(up)
  lorawan.payload = up.frm_payload
  if type(up.rx_metadata) == "table" then
    local gateway = best(up.rx_metadata)
    lorawan.gateways = #up.rx_metadata
    if gateway then
      lorawan.rssi = gateway.rssi
      lorawan.snr = gateway.snr
    end
  end
  fields.lorawan = lorawan
  return fields, timestamp.parse(up.received_at) or timestamp.parse(message.received_at)
end

local function decode(topic, bytes)
  if string.find(topic, "/down/", 1, true) then return nil end
  local message = payload.object(bytes)
  if type(message.end_device_ids) ~= "table" then error("an uplink must have 'end_device_ids'", 0) end
  if type(message.uplink_message) == "table" then return uplink(message) end
  local time = timestamp.parse(message.received_at)
  if type(message.join_accept) == "table" then return { event = "join", lorawan = about(message) }, time end
  if type(message.location_solved) == "table" then
    return { event = "location", location = message.location_solved.location, lorawan = about(message) }, time
  end
  return nil
end

plugin { decoders = { ttn = decode } }
