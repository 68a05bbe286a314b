# Waits for a child below Timeout, and by naps. poll.rb REPEATS
require "timeout"
ARGV[0].to_i.times do |number|
  Timeout.timeout(40) { system("sh", "-c", "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done") }
  child = spawn("sh", "-c", "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done")
  sleep 0.001 while Process.wait(child, Process::WNOHANG).nil?
  puts "#{number} #{Time.now.strftime("%s.%N")}"
end
